// Tools in the browser against a real server and agent: exactly one tab runs a call, whatever happens to the tabs.

import { expect, inject, test } from "vitest";
import { getBlob, serveTools, type ServeToolsOptions, type Session, type ToolItem, type Tools } from "../src/index.js";
import { client, fresh, storage, until } from "./client.js";

/** A tab: a client of its own that serves tools in a session. */
function tab(id: string, tools: Tools, { token = inject("tokens").ann, ...options }: ServeToolsOptions & { token?: string } = {}) {
  const hf = client({ token });
  const session = hf.session(id);
  const end = serveTools(hf, session, tools, { storage: null, ...options });
  return { hf, session, end };
}

async function startCall(call: object, id = fresh()): Promise<{ session: Session; answer: Promise<string> }> {
  const session = await client().create({ session: id, agent: "writer" });
  const run = await session.send(`browser ${JSON.stringify({ args: {}, ...call })}`);
  const answer = run.text();
  answer.catch(() => {}); // not every test waits for it
  return { session, answer };
}

const toolOf = async (session: Session): Promise<ToolItem> =>
  (await session.state()).items.find((item): item is ToolItem => item.kind === "tool")!;

const never = () => new Promise<never>(() => {});

test("of many tabs exactly one runs a call, and it is a tool call as any other", async () => {
  const id = fresh();
  const ran: number[] = [];
  await client().create({ session: id, agent: "writer" });
  const tabs = Array.from({ length: 5 }, (_, number) =>
    tab(id, { pick: ({ kind }) => (ran.push(number), { file: `${number}.${kind}` }) }));
  await Promise.all(tabs.map(({ session }) => until(() => session.status === "live")));
  const { session, answer } = await startCall({ name: "pick", args: { kind: "pdf" } }, id);
  expect(await answer).toContain(`"file": "${ran[0]}.pdf"`);
  expect(ran).toHaveLength(1);
  expect(await toolOf(session)).toMatchObject({ name: "pick", status: "done", args: '{"kind":"pdf"}' });
});

test("a call waits for the tab that has its tool, and for the person it is for", async () => {
  const { session, answer } = await startCall({ name: "pick", person: "user:ben" });
  const ran: string[] = [];
  tab(session.id, { other: () => ran.push("other") });
  tab(session.id, { pick: () => ran.push("ann") });
  await session.state();
  tab(session.id, { pick: () => (ran.push("ben"), undefined) }, { token: inject("tokens").ben });
  expect(await answer).toBe("4 null");
  expect(ran).toEqual(["ben"]);
});

test("a large result is kept as a blob and comes whole", async () => {
  const { session, answer } = await startCall({ name: "read" });
  const { hf } = tab(session.id, { read: () => "é".repeat(5_000) });
  expect(await answer).toMatch(/^30002 /); // the agent's JSON escapes it
  const result = (await session.state()).items.find((item) => item.kind === "approval" && item.tool === "browser.result");
  const note = (result as { note: string }).note;
  expect(note).toMatch(/^blob:[0-9a-f]{64}$/);
  expect(JSON.parse(await (await getBlob(hf, session.id, note.slice(5))).text())).toBe("é".repeat(5_000));
});

test("what a tool throws is told to the agent", async () => {
  const { session, answer } = await startCall({ name: "pick" });
  tab(session.id, { pick: () => Promise.reject(new Error("no file was chosen")) });
  expect(await answer).toContain("no file was chosen");
  expect((await toolOf(session)).error).toMatchObject({ code: "tool.failed" });
});

test("whatever a tool gives or throws, its call is answered", async () => {
  const itself: { again?: object } = {};
  itself.again = itself;
  const gives: [() => unknown, RegExp, string?][] = [
    [() => `half \ud83c`, /half/, "half \ufffd"],
    [() => ({ n: 2n ** 70n }), /1180591620717411303424/],
    [() => itself, /cannot be shown: /],
    [() => Promise.reject(new Error("a".repeat(199) + "🌊")), /a{199}/],
    [() => Promise.reject(new Error("no \udf0a wave")), /no .+ wave/],
  ];
  for (const [pick, expected, result] of gives) {
    const { session, answer } = await startCall({ name: "pick" });
    tab(session.id, { pick });
    expect(await answer).toMatch(expected);
    const tool = await toolOf(session);
    expect(tool.status).toBe("done");
    if (result) expect(tool.result).toBe(result);
  }
});

test("a tab that does not answer loses the call to another, and is told to stop", async () => {
  const { session, answer } = await startCall({ name: "pick", claim_s: 0.5 });
  let stopped = false;
  let ran = 0;
  const pick = (_: unknown, { signal }: { signal: AbortSignal }) => {
    if (ran++) return "second";
    signal.addEventListener("abort", () => (stopped = true));
    return never();
  };
  tab(session.id, { pick });
  tab(session.id, { pick });
  expect(await answer).toContain("second");
  expect(ran).toBe(2);
  await until(() => stopped);
});

test("a reloaded page says so, unless the tool may begin again", async () => {
  for (const [idempotent, expected] of [[false, "the page was reloaded"], [true, "again"]] as const) {
    const store = storage();
    const { session, answer } = await startCall({ name: "pick" });
    let begun = false;
    const before = tab(session.id, { pick: () => ((begun = true), never()) }, { storage: store });
    await until(() => begun);
    before.hf.close();
    tab(session.id, { pick: { run: () => "again", idempotent } }, { storage: store });
    expect(await answer).toContain(expected);
    await until(() => [...store.values.values()].every((text) => text === "{}"));
  }
});

test("a call that was taken and not begun is run after the reload", async () => {
  const store = storage();
  const { session, answer } = await startCall({ name: "pick" });
  const claim = (await session.until((view) => view.items.some(({ kind }) => kind === "approval"))).items.find(
    ({ kind }) => kind === "approval")!;
  store.setItem(`holdfast.tools ${inject("url")} ${session.id}`, JSON.stringify({ mine: "taken" }));
  await session.approve(claim.id, { note: "mine" });
  tab(session.id, { pick: () => "run" }, { storage: store });
  expect(await answer).toContain("run");
});

test("served anew in the same page, a tool that runs goes on and answers once", async () => {
  const { session, answer } = await startCall({ name: "pick" });
  const store = storage();
  const hf = client();
  let finish: (value: string) => void = () => {};
  let ran = 0;
  const tools = { pick: () => (ran++, new Promise<string>((resolve) => (finish = resolve))) };
  const serve = () => serveTools(hf, hf.session(session.id), tools, { storage: store });
  const end = serve();
  await until(() => ran);
  end();
  serve();
  await hf.session(session.id).state();
  finish("once");
  expect(await answer).toContain("once");
  expect(ran).toBe(1);
});

test("a duplicated tab does not run what its original runs", async () => {
  const locked = new Set<string>();
  const request = async (name: string, _: object, granted: (lock: object | null) => Promise<void>) => {
    if (locked.has(name)) return granted(null);
    locked.add(name);
    await granted({});
    locked.delete(name);
  };
  const locks = { request } as unknown as LockManager;
  const store = storage();
  const { session, answer } = await startCall({ name: "pick" });
  let finish: (value: string) => void = () => {};
  const original = tab(session.id, { pick: () => new Promise((resolve) => (finish = resolve)) }, { storage: store, locks });
  await until(() => locked.size);
  const copy = tab(session.id, { pick: { run: () => "copy", idempotent: true } }, { storage: store, locks });
  await copy.session.state();
  finish("original");
  expect(await answer).toContain("original");
  original.end();
});

test("who may not approve is told that the tool cannot be served", async () => {
  const { session } = await startCall({ name: "pick", deadline_s: 60 });
  const codes: string[] = [];
  tab(session.id, { pick: () => "never" }, { token: inject("tokens").reader, onError: ({ code }) => codes.push(code) });
  await until(() => codes.length);
  expect(codes).toEqual(["auth.denied"]);
});
