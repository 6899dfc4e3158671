// Anthropic's Node client, unmodified, through a gateway. Prints what it saw as JSON.
//   node messages.mjs GATEWAY KEY
import Anthropic, * as rest from "@anthropic-ai/sdk";

const [url, key] = process.argv.slice(2);
const client = (more) => new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, ...more });
const claude = client();
const ask = (knobs, more) => ({
  model: "claude-x", max_tokens: 99, messages: [{ role: "user", content: `Tell me something. [[fake ${knobs}]]` }], ...more,
});
const seen = {};

async function failed(doing) {
  try {
    return { answer: await doing() };
  } catch (error) {
    const kind = ["RateLimitError", "InternalServerError", "BadRequestError", "NotFoundError", "PermissionDeniedError",
      "AuthenticationError", "APIConnectionError"].find((each) => error instanceof rest[each]);
    const isApiError = error instanceof rest.APIError;
    return { kind, isApiError, status: error.status, type: error.error?.error?.type, details: error.error?.error?.details, message: error.message };
  }
}

const text = async (stream) => {
  let told = "";
  for await (const event of stream) if (event.delta?.type === "text_delta") told += event.delta.text;
  return told;
};

const whole = await claude.messages.create(ask("tokens=5 cached=7"));
seen.whole = { text: whole.content[0].text, output: whole.usage.output_tokens, read: whole.usage.cache_read_input_tokens };
seen.raw = await text(await claude.messages.create(ask("tokens=5", { stream: true })));
seen.helper = await claude.messages.stream(ask("tokens=5 reasoning=2")).finalText();
seen.thinking = (await claude.messages.create(ask("tokens=5 reasoning=2"))).content[0].type;
seen.tool = (await claude.messages.create(ask("tokens=3 tool=look_up"))).content[0].input;
seen.toolStreamed = (await claude.messages.stream(ask("tokens=3 tool=look_up")).finalMessage()).content[0].input;
const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "QUJD".repeat(3000) } };
const looked = ask("tokens=2");
looked.messages[0].content = [{ type: "text", text: looked.messages[0].content }, image];
seen.image = (await claude.messages.create(looked)).content[0].text;
for (const status of [400, 404, 429, 500, 529]) {
  seen[`refused${status}`] = await failed(() => claude.messages.create(ask(`status=${status}`, { stream: true })));
}
seen.noKey = await failed(() => client({ apiKey: "wrong" }).messages.create(ask("")));
seen.counting = await failed(() => claude.messages.countTokens({ model: "claude-x", messages: [{ role: "user", content: "x" }] }));
for (const knob of ["cut", "close", "error"]) {
  seen[knob] = await failed(async () => text(await claude.messages.create(ask(`tokens=9000 ${knob}=6000`, { stream: true }))));
}
const cancelled = claude.messages.stream(ask("tokens=400 gap=5"));
seen.cancelled = await failed(async () => {
  for await (const event of cancelled) if (event.type === "content_block_delta") cancelled.abort();
  return "ended";
});
console.log(JSON.stringify(seen));
