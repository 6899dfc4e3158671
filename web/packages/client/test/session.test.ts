// A session against a real server: reading, speaking, control; SUB-1, SUB-2, SUB-8, CTL-1 to CTL-8 from this side.

import { describe, expect, inject, test } from "vitest";
import { apply, canonical } from "../src/fold.js";
import { HoldfastError, View, visible, type ApprovalItem, type SessionEvent } from "../src/index.js";
import { client, closeAfterTest, fresh, until } from "./client.js";

const failure = (promise: Promise<unknown>): Promise<HoldfastError> =>
  promise.then(() => Promise.reject(new Error("it was not refused")), (error) => error);

describe("a session", () => {
  test("is created, spoken in, and answered by an agent", async () => {
    const hf = client();
    const session = await hf.create({ title: "Tides", agent: "writer" });
    const run = await session.send("hello");
    expect(await run.text()).toBe("you said hello");
    expect((await run.finished()).status).toBe("completed");
    const view = await session.state();
    expect(view.title).toBe("Tides");
    expect(view.items.map(({ kind }) => kind)).toEqual(["message", "message"]);
    expect(hf.principal).toBe("user:ann");
  });

  test("gives the same view to who reads its events and to who follows it", async () => {
    const hf = client();
    const session = await hf.create({ agent: "writer" });
    const events = closeAfterTest(session.events({ incarnation: (await session.state()) && session.cursor!.incarnation, seq: 0 }));
    const end = session.follow();
    const run = await session.send("count 200");
    await run.finished();
    await until(() => session.cursor!.seq === session.tail && session.status === "live");
    const whole = new View();
    let last = 0;
    for await (const event of events) {
      const { seq, to } = event as SessionEvent;
      expect(seq).toBe(last + 1);
      last = to ?? seq;
      expect(apply(whole, event as SessionEvent)).toBe(true);
      if (last === session.cursor!.seq) break;
    }
    expect(canonical(whole.export())).toBe(canonical(session.view.export()));
    end();
  });

  test("gives each of its readers exactly what follows its own cursor", async () => {
    const session = await client().create();
    for (let i = 0; i < 5; i++) await session.send(`said ${i}`, { silent: true });
    await session.state();
    const { incarnation, seq } = session.cursor!;
    const readers = [seq, 0, 3].map((from) => [from, closeAfterTest(session.events({ incarnation, seq: from }))] as const);
    const last = (await session.send("last", { silent: true })) && seq + 1;
    for (const [from, events] of readers) {
      for (let next = from + 1; next <= last; next++) {
        const { value } = await events.next();
        expect(value).toMatchObject({ seq: next });
        expect(value).not.toHaveProperty("view"); // the log can be read: nobody needs a snapshot
      }
    }
  });

  test("is steered, and stopped", async () => {
    const hf = client();
    const session = await hf.create({ agent: "writer" });
    const end = session.follow();
    const first = await session.send("wait for it");
    await until(() => first.state?.status === "running");
    await first.steer("and go");
    expect(await first.text()).toBe("waiting and go");
    const second = await session.send("wait for ever");
    await until(() => session.view.items.some((item) => item.run === second.id));
    await second.cancel();
    expect((await second.finished()).status).toBe("cancelled");
    expect((await failure(second.cancel())).code).toBe("run.ended");
    end();
  });

  test("asks for approvals: the first decision stands, and the second hears whose it was", async () => {
    const ann = client();
    const ben = client({ token: inject("tokens").ben });
    const session = await ann.create({ agent: "writer" });
    const run = await session.send("mail x@example.com");
    const view = await session.until(({ items }) => items.some(({ kind }) => kind === "approval"));
    const approval = view.items.find((item): item is ApprovalItem => item.kind === "approval")!;
    expect(approval).toMatchObject({ tool: "mail", args: { to: "x@example.com" }, status: "pending" });
    await ben.session(session.id).approve(approval.id, { hash: approval.hash });
    const refusal = await failure(session.deny(approval.id));
    expect(refusal).toMatchObject({ code: "approval.resolved", retry: false });
    expect(refusal.facts).toMatchObject({ by: "user:ben", decision: "approved" });
    expect(refusal.fix).not.toBe("");
    expect(await run.text()).toBe("sent");
  });

  test("branches: edit, regenerate, select", async () => {
    const hf = client();
    const session = await hf.create({ agent: "writer" });
    const first = await session.send("one");
    await first.finished();
    const edited = await session.send("two", { edits: first.input });
    await edited.finished();
    const again = await session.regenerate(edited.input);
    await again.finished();
    const view = await session.state();
    expect(visible(view).map((item) => item.run ?? item.id)).toEqual([edited.input, again.id]);
    await session.select({ run: edited.id });
    await session.until((now) => visible(now).some(({ run }) => run === edited.id));
    await session.select({ input: first.input });
    await session.until((now) => visible(now).some(({ run }) => run === first.id));
  });

  test("is interrupted, taken over and given back, renamed, deleted", async () => {
    const hf = client();
    const session = await hf.create({ agent: "writer" });
    const first = await session.send("wait for ever");
    await session.until(({ runs }) => runs.get(first.id)?.status === "running");
    const second = await session.interrupt("hello");
    expect(await second.text()).toBe("you said hello");
    expect((await first.finished()).status).toBe("cancelled");
    await session.take();
    expect((await session.send("I answer myself")).id).toBe("");
    expect((await session.state()).handoff?.by).toBe("user:ann");
    await session.giveBack();
    await session.rename("Another");
    expect((await session.state()).title).toBe("Another");
    const end = session.follow();
    await until(() => session.status === "live");
    await session.delete();
    await until(() => session.status === "closed");
    expect(session.error?.code).toBe("session.deleted");
    end();
  });

  test("says a key once, however often it is sent", async () => {
    const session = await client().create({ agent: "writer" });
    const [one, two] = await Promise.all([session.send("x", { key: "m-1" }), session.send("x", { key: "m-1" })]);
    expect(one.id).toBe(two.id);
    expect((await failure(session.send("y", { key: "m-1" }))).code).toBe("producer.conflict");
    expect((await session.state()).items.filter(({ id }) => id === "m-1")).toHaveLength(1);
  });

  test("shows who is here", async () => {
    const ann = client({ surface: "web", device: "laptop" });
    const ben = client({ token: inject("tokens").ben, surface: "web", device: "phone" });
    const session = await ann.create();
    const ends = [session.follow(), ben.session(session.id).follow()];
    await until(() => session.here.length === 2);
    await ben.session(session.id).presence({ typing: true });
    await until(() => session.here.some(({ actor, device, doing }) => actor === "user:ben" && device === "phone" && doing["typing"]));
    ends[1]!();
    await until(() => session.here.length === 1);
    ends[0]!();
  });

  test("pages its history", async () => {
    const session = await client().create();
    const text = "x".repeat(60_000);
    for (let i = 0; i < 16; i++) await session.send(text, { silent: true });
    const reader = client().session(session.id);
    const view = await reader.state();
    expect(view.older).toBeGreaterThan(0);
    let found = view.items.length;
    for (let page = view.older; page > 0;) {
      const older = await reader.history(page);
      found += older.page.items.length;
      page = older.older;
    }
    expect(found).toBe(16);
  });

  test("is refused with a reason where the token does not reach", async () => {
    const session = await client().create();
    const reader = client({ token: inject("tokens").reader });
    expect((await reader.session(session.id).state()).items).toEqual([]);
    expect(await failure(reader.session(session.id).send("x"))).toMatchObject({ code: "auth.denied", retry: false });
    expect((await failure(client().session(fresh()).state())).code).toBe("session.not_found");
    for (const id of ["no spaces", "", "-a", ".a", "~a", ":a", "_a\n", "\u0661", `_${"a".repeat(128)}`]) {
      expect(() => client().session(id), id).toThrow(expect.objectContaining({ code: "input.session_id" }));
    }
    for (const id of ["_", "__LOCALID_aB3xY9z", `_${"a".repeat(127)}`]) expect(client().session(id).id).toBe(id);
  });

  test("refuses at once what no message can carry", async () => {
    const session = await client().create();
    expect((await failure(session.send("half a pair: \ud83d", { silent: true }))).code).toBe("input.malformed");
    expect((await failure(session.append([{ type: "CUSTOM", data: { value: "x".repeat(1 << 20) } }]))).code).toBe("input.too_large");
    await session.send("a whole one: \ud83d\ude00, and \\ud83d", { silent: true });
  });

  test("keeps blobs", async () => {
    const { getBlob, putBlob } = await import("../src/index.js");
    const hf = client();
    const session = await hf.create();
    const blob = await putBlob(hf, session.id, new TextEncoder().encode("hello"), "text/plain");
    expect(await (await getBlob(hf, session.id, blob)).text()).toBe("hello");
    expect((await failure(getBlob(hf, session.id, "none"))).code).toBe("blob.not_found");
  });

  test("is found in the list of sessions, which is live", async () => {
    const hf = client();
    const list = hf.sessions();
    const end = list.follow();
    await until(() => list.fresh);
    const session = await hf.create({ title: "Found" });
    await session.send("look", { silent: true });
    await until(() => list.rows.find((row) => row.session === session.id && row.card.last?.text === "look"));
    expect(list.rows.map((row) => row.active_ms)).toEqual(list.rows.map((row) => row.active_ms).sort((a, b) => b - a));
    await session.delete();
    await until(() => !list.rows.some((row) => row.session === session.id));
    end();
  });
});
