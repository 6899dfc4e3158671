// OpenAI's Node client, unmodified: reads durable runs, is cut, goes on, cancels. Prints what it saw as JSON.
import OpenAI from "openai";

const [whole, cut, token] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${whole}/v1`, apiKey: token, maxRetries: 0 });
const behind = new OpenAI({ baseURL: `${cut}/v1`, apiKey: token, maxRetries: 0 });
const seen = {};
const deltas = (events) =>
  events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta).join("");

const created = await client.responses.create({ model: "teller", input: "go" });
seen.created = { status: created.status, text: created.output_text };

const read = [];
let response;
try {
  for await (const event of await behind.responses.create({
    model: "teller", input: "go", stream: true, background: true,
  })) {
    read.push(event);
    if (event.type === "response.created") response = event.response.id;
  }
  seen.cut = false;
} catch {
  seen.cut = true;
}
const before = deltas(read);
const after = read.at(-1).sequence_number;
for await (const event of await client.responses.retrieve(response, { stream: true, starting_after: after })) {
  read.push(event);
}
seen.resumed = { before, text: deltas(read), last: read.at(-1).type, numbers: read.map((e) => e.sequence_number) };

const snapshots = [];
const stream = client.responses.stream({ model: "teller", input: "go" });
stream.on("response.output_text.delta", (event) => snapshots.push([event.sequence_number, event.snapshot]));
const final = await stream.finalResponse();
seen.helper = { text: final.output_text, snapshot: snapshots.at(-1)[1] };

const [middle, had] = snapshots[Math.floor(snapshots.length / 2)];
let rest = "";
for await (const event of client.responses.stream({ response_id: final.id, starting_after: middle })) {
  if (event.type === "response.output_text.delta") rest += event.delta;
}
seen.replayed = had + rest;

const doubtful = client.responses.stream({ model: "doubtful", input: "go" });
for await (const event of doubtful) void event;
seen.retried = (await doubtful.finalResponse()).output_text;

const queued = await client.responses.create({ model: "nobody", input: "go", background: true });
seen.cancelled = [queued.status, (await client.responses.cancel(queued.id)).status];

try {
  await client.responses.retrieve("resp_1_0_a_none");
} catch (error) {
  seen.refused = { status: error.status, code: error.code, type: error.type, message: error.message };
}
console.log(JSON.stringify(seen));
