// An unmodified AG-UI client that goes away in the middle of an answer and comes back to all of it.
import { HttpAgent } from "@ag-ui/client";

const server = process.env.HOLDFAST_URL ?? "http://127.0.0.1:7417";
const teller = `${server}/v1/ag-ui/agent/teller`;
const client = () =>
  new HttpAgent({
    url: `${teller}/run`,
    threadId: process.argv[2] ?? "hours",
    headers: { authorization: `Bearer ${process.env.TOKEN}` },
  });
const answer = (agent) => agent.messages.findLast(({ role }) => role === "assistant")?.content ?? "";

// ask, and close the page after a few words
const first = client();
first.addMessage({ id: crypto.randomUUID(), role: "user", content: "What time is it?" });
await first.runAgent({}, {
  onTextMessageContentEvent({ textMessageBuffer }) {
    if (textMessageBuffer.length > 60) first.abortRun();
  },
});
console.log(`left after ${answer(first).length} characters`);

// another page, or another device: it knows the thread and nothing else
const second = client();
second.url = `${teller}/connect`;
await second.runAgent();
console.log(`joined: ${answer(second).length} characters, ending in "${answer(second).trim().slice(-11)}"`);
