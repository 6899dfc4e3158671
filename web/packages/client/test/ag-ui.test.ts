// AG-UI's own client over a session: run, join from elsewhere, stop, approve.

import { expect, test } from "vitest";
import { HoldfastAgent } from "../src/ag-ui/index.js";
import { client, fresh, until } from "./client.js";

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i} `).join("");

function agent(threadId: string) {
  const hf = client();
  return { hf, agent: new HoldfastAgent({ client: hf, agent: "writer", threadId }), session: hf.session(threadId) };
}

const transcript = (one: HoldfastAgent) => one.messages.map(({ role, content }) => [role, content]);

test("runs, and another joins what runs", async () => {
  const id = fresh();
  const first = agent(id);
  first.agent.addMessage({ id: "m1", role: "user", content: "count 200" });
  const running = first.agent.runAgent();
  await until(() => first.agent.messages.length === 2);
  const second = agent(id);
  await second.agent.connectAgent();
  await running;
  const all = [["user", "count 200"], ["assistant", numbers(200)]];
  expect(transcript(first.agent)).toEqual(all);
  expect(transcript(second.agent)).toEqual(all);
});

test("stops the run when it is told to, and only then", async () => {
  const { agent: one, session } = agent(fresh());
  one.addMessage({ id: "m1", role: "user", content: "wait for ever" });
  const left = one.runAgent().catch(() => null);
  await until(() => one.messages.length === 2);
  const [run] = [...(await session.state()).runs.keys()];
  one.leave();
  await left;
  expect((await session.state()).runs.get(run!)?.status).toBe("running");
  const joined = one.connectAgent();
  await until(() => one.isRunning);
  one.abortRun();
  await one.stopping;
  await joined;
  expect((await session.run(run!).finished()).status).toBe("cancelled");
});

test("waits for a decision, and goes on with it", async () => {
  const { agent: one } = agent(fresh());
  one.addMessage({ id: "m1", role: "user", content: "mail x@example.com" });
  await one.runAgent();
  const [interrupt] = one.pendingInterrupts;
  expect(interrupt).toMatchObject({ metadata: { holdfast: { tool: "mail", args: { to: "x@example.com" } } } });
  await one.runAgent({ resume: [{ interruptId: interrupt!.id, status: "resolved", payload: { approved: true } }] });
  expect(transcript(one).at(-1)).toEqual(["assistant", "sent"]);
});

test("is cloned with what it needs", async () => {
  const { agent: one } = agent(fresh());
  const other = one.clone();
  other.addMessage({ id: "m1", role: "user", content: "hello" });
  await other.runAgent();
  expect(transcript(other).at(-1)).toEqual(["assistant", "you said hello"]);
});
