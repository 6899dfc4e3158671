// Chats of the AI SDK 5, 6 and 7, unmodified, over sessions: send, stop, resume, edit, approve, turns of others.

import { AbstractChat as Chat7, lastAssistantMessageIsCompleteWithApprovalResponses as answered7, type ChatTransport as Transport7, type UIMessage as Message7 } from "ai";
import { AbstractChat as Chat5, type ChatTransport as Transport5, type UIMessage as Message5 } from "ai5";
import { AbstractChat as Chat6, lastAssistantMessageIsCompleteWithApprovalResponses as answered6, type ChatTransport as Transport6, type UIMessage as Message6 } from "ai6";
import { describe, expect, test } from "vitest";
import { followTurns, HoldfastChatTransport, toUIMessages, type Version } from "../src/ai-sdk/index.js";
import { serveTools } from "../src/index.js";
import { client, fresh, until } from "./client.js";

// each version takes the transport as it is
const transports = (transport: HoldfastChatTransport): [Transport5<Message5>, Transport6<Message6>, Transport7<Message7>] =>
  [transport, transport, transport];

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i} `).join("");
const BASES: Record<Version, any> = { 5: Chat5, 6: Chat6, 7: Chat7 };
const ANSWERED: Record<Version, any> = { 5: undefined, 6: answered6, 7: answered7 };

/** The state of a chat, as framework bindings of the SDK keep it. */
class State {
  status = "ready";
  error: Error | undefined = undefined;
  messages: any[] = [];
  pushMessage = (message: any) => void (this.messages = [...this.messages, message]);
  popMessage = () => void (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index: number, message: any) => void (this.messages = this.messages.with(index, message));
  snapshot = <T>(value: T): T => structuredClone(value);
}

function chat(version: Version, id: string, options: { messages?: any[] } = {}) {
  const hf = client();
  const transport = new HoldfastChatTransport({ client: hf, agent: "writer", version });
  const state = new State();
  state.messages = options.messages ?? [];
  class Chat extends (BASES[version] as new (given: object) => any) {}
  const instance: any = new Chat({ id, state, transport: transports(transport)[2], sendAutomaticallyWhen: ANSWERED[version] });
  return { chat: instance, hf, transport, session: hf.session(id) };
}

const textOf = (message: any): string =>
  message?.parts.filter(({ type }: any) => type === "text").map(({ text }: any) => text).join("") ?? "";

describe.each([5, 6, 7] as Version[])("a chat of version %i", (version) => {
  test("sends, and the answer is the run's", async () => {
    const { chat: one, session } = chat(version, fresh());
    await one.sendMessage({ text: "count 50" });
    expect(one.status).toBe("ready");
    expect(one.messages.map(({ role }: any) => role)).toEqual(["user", "assistant"]);
    expect(textOf(one.lastMessage)).toBe(numbers(50));
    const view = await session.state();
    expect(one.messages.map(({ id }: any) => id)).toEqual([view.head, view.items.at(-1)!.run]);
    const ours = toUIMessages(session, version);
    expect(ours.map(({ id, role }) => [id, role])).toEqual(one.messages.map(({ id, role }: any) => [id, role]));
    expect(ours.map(textOf)).toEqual(one.messages.map(textOf));
  });

  test.each([false, true])("goes on while the page runs a tool, with wait=%s", async (wait) => {
    const { chat: one, hf, session } = chat(version, fresh());
    await session.create({ agent: "writer" });
    const end = serveTools(hf, session, { pick: ({ n }) => ({ got: n }) }, { storage: null });
    await one.sendMessage({ text: `browser ${JSON.stringify({ name: "pick", args: { n: 7 }, wait })}` });
    end();
    expect(one.status).toBe("ready");
    expect(textOf(one.lastMessage)).toBe('10 {"got": 7}');
    const parts = one.lastMessage.parts.filter(({ type }: any) => type !== "step-start" && type !== "text");
    expect(parts).toMatchObject([{ type: "tool-pick", state: "output-available", output: { got: 7 }, providerExecuted: true }]);
    expect(toUIMessages(session, version).at(-1)!.parts.map(({ type }) => type)).toEqual(one.lastMessage.parts.map(({ type }: any) => type));
  });

  test("stops the run, and nothing else does", async () => {
    const { chat: one, session } = chat(version, fresh());
    const sent = one.sendMessage({ text: "wait for ever" });
    await until(() => textOf(one.lastMessage) === "waiting ");
    await one.stop();
    await sent;
    const [run] = [...(await session.state()).runs.keys()];
    expect((await session.run(run!).finished()).status).toBe("cancelled");
    await until(() => one.status === "ready");
  });

  test("resumes the answer that another began, whatever was told of it", async () => {
    const id = fresh();
    const first = chat(version, id);
    const sent = first.chat.sendMessage({ text: "count 300" });
    await until(() => textOf(first.chat.lastMessage).length > 100);
    const second = chat(version, id);
    await second.session.state();
    second.chat.messages = toUIMessages(second.session, version);
    await second.chat.resumeStream();
    expect(textOf(second.chat.lastMessage)).toBe(numbers(300));
    await sent;
    expect(second.chat.messages.map(({ id: name }: any) => name)).toEqual(first.chat.messages.map(({ id: name }: any) => name));
  });

  test("goes on over cuts", async () => {
    const { chat: one, hf } = chat(version, fresh());
    const sent = one.sendMessage({ text: "count 300" });
    await until(() => textOf(one.lastMessage).length > 100);
    hf.cut();
    await sent;
    expect(textOf(one.lastMessage)).toBe(numbers(300));
  });

  test("edits and answers again on branches", async () => {
    const { chat: one, session } = chat(version, fresh());
    await one.sendMessage({ text: "first" });
    await one.sendMessage({ text: "second", messageId: one.messages[0].id });
    expect(textOf(one.lastMessage)).toBe("you said second");
    await one.regenerate();
    expect(textOf(one.lastMessage)).toBe("you said second");
    const view = await session.state();
    expect(view.runs.size).toBe(3);
    expect(view.items.filter((item) => item.kind === "message" && item.edits)).toHaveLength(1);
  });

  test("answers an earlier message again, and the session drops what the chat drops", async () => {
    const { chat: one, session } = chat(version, fresh());
    for (const text of ["one", "two", "three"]) await one.sendMessage({ text });
    await one.regenerate({ messageId: one.messages[3].id });
    await one.sendMessage({ text: "four" });
    await session.state();
    const ids = (messages: any[]) => messages.map(({ id }) => id);
    expect(one.messages.map((message: any) => textOf(message) || message.parts[0].text)).toHaveLength(6);
    expect(ids(toUIMessages(session, version))).toEqual(ids(one.messages));
  });

  test("gives a person's message back as it was sent", async () => {
    const { chat: one, session } = chat(version, fresh());
    const file = { type: "file", mediaType: "text/plain", filename: "a.txt", url: "data:text/plain;base64,aGk=" };
    const parts = [{ type: "data-place", data: { x: 1 } }, { type: "text", text: "one" }, file, { type: "text", text: "two" }];
    await one.sendMessage({ parts, metadata: { channel: "web" } });
    await one.sendMessage({ text: "plain" });
    await session.state();
    const [first, , second] = toUIMessages(session, version);
    expect(first!.metadata).toMatchObject({ channel: "web", holdfast: { by: expect.any(String) } });
    expect(first!.parts).toMatchObject([parts[0], parts[1], { type: "file", mediaType: "text/plain", filename: "a.txt" }, parts[3]]);
    expect(second!.parts).toEqual([{ type: "text", text: "plain" }]);
  });

  test("shows what others do", async () => {
    const { chat: one, session } = chat(version, fresh());
    await one.sendMessage({ text: "mine" });
    const end = followTurns(session, () => one, version);
    const run = await client().session(session.id).send("theirs", { agent: "writer" });
    await until(() => textOf(one.lastMessage) === "you said theirs" && one.status === "ready");
    expect(one.messages.map(textOf)).toEqual(["mine", "you said mine", "theirs", "you said theirs"]);
    expect(one.lastMessage.id).toBe(run.id);
    end();
  });

  test("steers", async () => {
    const { chat: one, transport } = chat(version, fresh());
    const sent = one.sendMessage({ text: "wait for it" });
    await until(() => textOf(one.lastMessage) === "waiting ");
    await transport.steer(one.id, "and go");
    await sent;
    expect(textOf(one.lastMessage)).toBe("waiting and go");
  });
});

describe.each([6, 7] as Version[])("approvals of version %i", (version) => {
  test.each([[true, "sent"], [false, "not sent"]])("approved: %s", async (approved, words) => {
    const { chat: one } = chat(version, fresh());
    await one.sendMessage({ text: "mail x@example.com" });
    const part = one.lastMessage.parts.find(({ state }: any) => state === "approval-requested");
    expect(part).toMatchObject({ type: "tool-mail", input: { to: "x@example.com" } });
    await one.addToolApprovalResponse({ id: part.approval.id, approved });
    await until(() => textOf(one.lastMessage) === words && one.status === "ready");
    expect(one.messages).toHaveLength(2);
  });

  test.each([["named", "decide"], ["hello", "ask again"]])("a page left open over delete and create (%s) cannot %s in the next life", async (words, what) => {
    const { chat: one, session } = chat(version, fresh());
    await one.sendMessage({ text: words });
    const other = client().session(session.id); // says the same in the next life, by the same key
    await other.delete();
    await other.create({ agent: "writer" });
    const run = await other.send(words, { key: one.messages[0].id });
    if (what === "decide") await other.until(({ items }) => items.some(({ kind }) => kind === "approval"));
    else await run.finished();
    const { runs, items } = await other.state();
    const end = session.follow(); // something else in the page reads the next life already
    await session.until((view) => view.runs.has(run.id) && view.items.length === items.length);
    if (what === "decide") await one.addToolApprovalResponse({ id: "sure", approved: true });
    else await one.regenerate({ messageId: one.lastMessage.id });
    await until(() => one.status === "error");
    expect(one.error).toMatchObject({ code: "session.incarnation" });
    const now = await other.state();
    expect([now.runs.size, now.items.map((item: any) => item.status)]).toEqual([runs.size, items.map((item: any) => item.status)]);
    if (what === "decide") await run.cancel();
    end();
  });

  const ways = [["stay", true], ["stay", false], ["wait", true], ["wait", false]] as const;
  test.each(ways)("of a call that a model has made, the worker to %s: %s", async (worker, approved) => {
    const id = fresh();
    const first = chat(version, id);
    await first.chat.sendMessage({ text: `gated ${worker}` });
    const one = approved ? first : chat(version, id); // a reload before it is denied
    if (!approved) {
      await one.session.state();
      one.chat.messages = toUIMessages(one.session, version);
      await one.chat.resumeStream();
    }
    const tools = () => one.chat.lastMessage.parts.filter(({ type }: any) => type.startsWith("tool-"));
    expect(tools()).toMatchObject([{ type: "tool-mail", state: "approval-requested", input: { to: "bo" } }]);
    await one.chat.addToolApprovalResponse({ id: tools()[0].approval.id, approved, reason: "no" });
    await until(() => textOf(one.chat.lastMessage) === (approved ? "sent to bo" : "not sent: no") && one.chat.status === "ready");
    expect(tools()).toMatchObject([approved ? { state: "output-available", output: "sent to bo" } : { state: "output-denied" }]);
    await one.session.state();
    expect(toUIMessages(one.session, version).at(-1)!.parts.filter(({ type }) => type === "tool-mail"))
      .toMatchObject([{ toolCallId: tools()[0].toolCallId, state: tools()[0].state, input: { to: "bo" } }]);
  });
});
