// OpenAI's Node clients, unmodified, of two majors, through a gateway. Prints what they saw as JSON.
//   node chat.mjs PACKAGE GATEWAY KEY
const [name, url, key] = process.argv.slice(2);
const { default: OpenAI, ...rest } = await import(name);
const client = (more) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, ...more });
const openai = client();
const say = (knobs) => [{ role: "user", content: `Tell me something. [[fake ${knobs}]]` }];
const seen = {};

// What an error is to a program: its class, and the fields it looks at.
async function failed(doing) {
  try {
    return { answer: await doing() };
  } catch (error) {
    const kind = ["RateLimitError", "InternalServerError", "BadRequestError", "NotFoundError", "PermissionDeniedError",
      "AuthenticationError", "APIConnectionError", "APIUserAbortError"].find((each) => error instanceof rest[each]);
    const isApiError = error instanceof rest.APIError;
    return { kind, isApiError, status: error.status, code: error.code, type: error.type, message: error.message };
  }
}

const text = async (stream) => {
  let told = "";
  for await (const chunk of stream) told += chunk.choices[0]?.delta?.content ?? "";
  return told;
};
const chat = (knobs, more) => openai.chat.completions.create({ model: "gpt-5", messages: say(knobs), ...more });
const respond = (knobs, more) =>
  openai.responses.create({ model: "gpt-5", input: `Tell me something. [[fake ${knobs}]]`, ...more });
const events = async (stream) => {
  let told = "";
  for await (const event of stream) if (event.type === "response.output_text.delta") told += event.delta;
  return told;
};

// whole, raw and by helpers
const whole = await chat("tokens=5");
seen.whole = { text: whole.choices[0].message.content, usage: whole.usage.total_tokens - whole.usage.prompt_tokens };
seen.raw = await text(await chat("tokens=5", { stream: true }));
const asked = [];
for await (const chunk of await chat("tokens=5", { stream: true, stream_options: { include_usage: true } })) asked.push(chunk);
seen.usage = asked.at(-1).usage.completion_tokens;
const runner = openai.chat.completions.stream({ model: "gpt-5", messages: say("tokens=5") });
seen.helper = (await runner.finalChatCompletion()).choices[0].message.content;
seen.response = (await respond("tokens=5")).output_text;
seen.responseRaw = await events(await respond("tokens=5", { stream: true }));
const helper = openai.responses.stream({ model: "gpt-5", input: "Tell me something. [[fake tokens=5]]" });
seen.responseHelper = (await helper.finalResponse()).output_text;

// tools, images, embeddings, models
const tool = { type: "function", function: { name: "look_up", parameters: { type: "object" } } };
const called = await chat("tokens=3 tool=look_up", { tools: [tool] });
seen.tool = called.choices[0].message.tool_calls[0].function;
const streamed = openai.chat.completions.stream({ model: "gpt-5", messages: say("tokens=3 tool=look_up"), tools: [tool] });
seen.toolStreamed = (await streamed.finalChatCompletion()).choices[0].message.tool_calls[0].function.arguments;
const image = { type: "image_url", image_url: { url: `data:image/png;base64,${"QUJD".repeat(3000)}` } };
const looked = await openai.chat.completions.create({
  model: "gpt-5", messages: [{ role: "user", content: [...say("tokens=2").map((m) => ({ type: "text", text: m.content })), image] }],
});
seen.image = looked.choices[0].message.content;
seen.vectors = (await openai.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"] })).data.length;
seen.models = (await openai.models.list()).data.map((model) => model.id);

// refused before the stream
for (const status of [400, 404, 429, 500, 503]) {
  seen[`refused${status}`] = await failed(() => chat(`status=${status}`, { stream: true }));
}
seen.unmetered = await failed(() => openai.images.generate({ model: "gpt-image-1", prompt: "a cat" }));
seen.noModel = await failed(() => openai.chat.completions.create({ model: "nobody", messages: say("") }));
seen.noKey = await failed(() => client({ apiKey: "wrong" }).chat.completions.create({ model: "gpt-5", messages: say("") }));

// broken in mid-stream
for (const knob of ["cut", "close", "error"]) {
  seen[`chat_${knob}`] = await failed(async () => text(await chat(`tokens=9000 ${knob}=6000`, { stream: true })));
  seen[`response_${knob}`] = await failed(async () => events(await respond(`tokens=9000 ${knob}=6000`, { stream: true })));
}

// cancelled by who asked
const cancelled = await chat("tokens=400 gap=5", { stream: true });
let pieces = 0;
for await (const _ of cancelled) if (++pieces === 5) cancelled.controller.abort();
seen.cancelled = pieces;
const left = await chat("tokens=400 gap=5", { stream: true });
for await (const _ of left) break;
console.log(JSON.stringify(seen));
