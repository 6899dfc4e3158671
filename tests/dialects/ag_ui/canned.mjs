// Unmodified AG-UI clients over canned answers: a line of stdin is {version, runs: [{body, say?}]}, a line of stdout what
// the client holds after each.
import { createInterface } from "node:readline";
import { HttpAgent as Newest } from "@ag-ui/client";
import { HttpAgent as Pinned } from "ag-ui-client-0059";

const complaints = [];
console.warn = (...words) => complaints.push(words.map(String).join(" "));
console.error = (...words) => complaints.push(words.map(String).join(" "));

for await (const line of createInterface({ input: process.stdin })) {
  const { version, bodies } = JSON.parse(line);
  let body = "";
  const fetch = async () => new Response(body, { headers: { "content-type": "text/event-stream" } });
  const agent = new (version === "1.0" ? Newest : Pinned)({ url: "http://unused.invalid", threadId: "t", fetch });
  const held = [];
  for (body of bodies) {
    let error = null;
    const resume = agent.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: "cancelled" }));
    try {
      await agent.runAgent(resume.length ? { resume } : {});
    } catch (thrown) {
      error = String(thrown?.message ?? thrown);
    }
    held.push({ messages: agent.messages, state: agent.state, error, complaints: complaints.splice(0) });
  }
  process.stdout.write(`${JSON.stringify(held)}\n`);
}
