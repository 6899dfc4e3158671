// OpenAI's Node clients of two majors, and Anthropic's, unmodified, whose answers a budget ends in the middle. Prints what
// they saw as JSON: the text, the usage, and the exception.
//   node brake.mjs PACKAGE GATEWAY KEY
const [name, url, key] = process.argv.slice(2);
const { default: Client, ...rest } = await import(name);
const anthropic = name.startsWith("@anthropic");
const client = new Client({ baseURL: anthropic ? url : `${url}/v1`, apiKey: key });
const said = [{ role: "user", content: "Tell me something." }];
const seen = {};

async function heard(label, doing) {
  const told = { text: "", used: null };
  try {
    await doing(told);
  } catch (error) {
    const isApiError = error instanceof rest.APIError;
    const details = error.error?.error?.details;
    told.error = { isApiError, status: error.status, code: error.code ?? details?.error_code, type: error.type, message: error.message };
  }
  seen[label] = told;
}
const chunk = (told, each) => {
  told.text += each.choices[0]?.delta?.content ?? "";
  if (each.usage) told.used = each.usage.completion_tokens;
};
const event = (told, each) => {
  if (each.type === "response.output_text.delta") told.text += each.delta;
  if (each.type === "response.incomplete") told.used = each.response.usage.output_tokens;
};
const block = (told, each) => {
  if (each.type === "content_block_delta") told.text += each.delta.text;
  if (each.type === "message_delta") told.used = each.usage.output_tokens;
};

if (anthropic) {
  const ask = { model: "claude-x", max_tokens: 999, messages: said };
  await heard("raw", async (told) => {
    for await (const each of await client.messages.create({ ...ask, stream: true })) block(told, each);
  });
  await heard("helper", async (told) => {
    const stream = client.messages.stream(ask).on("streamEvent", (each) => block(told, each));
    await stream.finalMessage();
  });
  await heard("whole", async () => client.messages.create(ask));
} else {
  const ask = { model: "gpt-5", messages: said };
  const usage = { stream_options: { include_usage: true } };
  await heard("raw", async (told) => {
    for await (const each of await client.chat.completions.create({ ...ask, ...usage, stream: true })) chunk(told, each);
  });
  await heard("helper", async (told) => {
    const stream = client.chat.completions.stream({ ...ask, ...usage }).on("chunk", (each) => chunk(told, each));
    await stream.finalChatCompletion();
  });
  await heard("whole", async () => client.chat.completions.create(ask));
  await heard("responseRaw", async (told) => {
    for await (const each of await client.responses.create({ model: "gpt-5", input: "Go.", stream: true })) event(told, each);
  });
  await heard("responseHelper", async (told) => {
    const stream = client.responses.stream({ model: "gpt-5", input: "Go." }).on("event", (each) => event(told, each));
    await stream.finalResponse();
  });
  await heard("responseWhole", async () => client.responses.create({ model: "gpt-5", input: "Go." }));
}
console.log(JSON.stringify(seen));
