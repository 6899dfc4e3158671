// What survives cuts, silence, reloads and restarts: SUB-2, SUB-7, LOG-5, FOLD-3 from this side.

import { describe, expect, inject, test, vi } from "vitest";
import { apply, canonical } from "../src/fold.js";
import { View, type SessionEvent } from "../src/index.js";
import { client, closeAfterTest, fresh, storage, until } from "./client.js";
import { websocketDial, type WebSocketLike } from "../src/websocket.js";
import { WebSocket } from "ws";
import { faultProxy } from "./proxy.js";

describe("a client", () => {
  test("reads every event once over many cuts, and says what each recovery came to", async () => {
    const via = closeAfterTest(await faultProxy(inject("url")));
    const hf = client({ url: via.url });
    const session = await hf.create({ agent: "writer" });
    await session.state();
    const events = closeAfterTest(session.events({ incarnation: session.cursor!.incarnation, seq: 0 }));
    const end = session.follow();
    const run = await client().session(session.id).send("count 400");
    const cuts = (async () => {
      for (let i = 0; i < 6; i++) {
        await until(() => session.status === "live");
        await new Promise((resolve) => setTimeout(resolve, 60));
        via.cut();
        await until(() => session.status === "offline");
      }
    })();
    const whole = new View();
    let last = 0;
    for await (const event of events) {
      const { seq, to, type } = event as SessionEvent;
      expect(seq).toBe(last + 1);
      last = to ?? seq;
      apply(whole, event as SessionEvent);
      if (type === "run.ended") break;
    }
    await cuts;
    await until(() => session.status === "live" && session.cursor!.seq === last);
    expect(canonical(session.view.export())).toBe(canonical(whole.export()));
    expect(await run.text()).toBe(Array.from({ length: 400 }, (_, i) => `${i} `).join(""));
    expect(session.recovery).toMatchObject({ session: session.id, gaps: 0, repeats: 0, snapshot: null });
    expect(session.recovery!.received).toBe(session.recovery!.missed);
    expect(hf.status.recovery).toBe(session.recovery);
    end();
  });

  test("heals when messages are lost, come twice, or carry a delta that does not join", async () => {
    const dial = websocketDial(inject("url"), WebSocket as unknown as WebSocketLike, () => {});
    let number = 0;
    const hf = client({
      dial: (hello, sink) => dial(hello, {
        ...sink,
        received: (message, size) => {
          if (message.op !== "events") return sink.received(message, size);
          const fault = ++number % 10;
          if (fault === 3) return;
          if (fault === 6) sink.received(message, size);
          if (fault === 9) message.events = message.events.map((event) => (event.offset ? { ...event, offset: event.offset + 1 } : event));
          sink.received(message, size);
        },
      }),
    });
    const session = await hf.create({ agent: "writer" });
    const end = session.follow();
    const other = client().session(session.id);
    const run = await session.send("count 400");
    expect(await other.run(run.id).text()).toBe(Array.from({ length: 400 }, (_, i) => `${i} `).join(""));
    await until(async () => {
      await other.send("and on", { silent: true }); // what is lost is noticed by what follows
      const whole = await other.state();
      return session.cursor!.seq === other.cursor!.seq && canonical(session.view.export()) === canonical(whole.export());
    });
    expect(number).toBeGreaterThan(30);
    end();
  });

  test("does what was asked while offline, once, when it is back", async () => {
    const via = closeAfterTest(await faultProxy(inject("url")));
    const hf = client({ url: via.url });
    const session = await hf.create({ agent: "writer" });
    hf.cut(200);
    expect(hf.status).toMatchObject({ state: "offline", attempts: 1, transport: null });
    expect(hf.status.retryAt).toBeGreaterThan(Date.now());
    const sent = session.send("hello");
    expect(session.sending).toMatchObject([{ op: "send", text: "hello" }]);
    const run = await sent;
    expect(session.sending).toEqual([]);
    expect(await run.text()).toBe("you said hello");
    expect((await session.state()).items.filter(({ kind }) => kind === "message")).toHaveLength(2);
  });

  test("says that an outcome is not known, and settles it with the same key", async () => {
    const via = closeAfterTest(await faultProxy(inject("url")));
    const hf = client({ url: via.url });
    const session = await hf.create();
    via.frozen = true;
    const error = await session.send("once", { silent: true, timeoutMs: 100 }).catch((reason) => reason);
    expect(error).toMatchObject({ code: "timeout", retry: true });
    via.frozen = false;
    via.cut();
    await session.send("once", { silent: true, key: error.facts.key });
    expect((await session.state()).items).toHaveLength(1);
  });

  test("notices a connection that only looks open", async () => {
    const via = closeAfterTest(await faultProxy(inject("url")));
    const hf = client({ url: via.url });
    await hf.ready();
    via.frozen = true;
    await until(() => hf.status.state === "offline");
    via.frozen = false;
    via.cut();
    await until(() => hf.status.state === "live");
  });

  test("asks for a token on every connect", async () => {
    let calls = 0;
    const hf = client({ getToken: async () => (calls++, inject("tokens").ann) });
    await hf.ready();
    hf.cut();
    await until(() => hf.status.state === "live");
    expect(calls).toBe(2);
  });

  test("ends for good when the token is no good, and goes on when told to", async () => {
    const hf = client({ token: "rubbish" });
    const error = await hf.ready().catch((reason) => reason);
    expect(error.code).toBe("auth.invalid");
    expect(hf.status).toMatchObject({ state: "offline", error: { code: "auth.invalid" } });
    const refused = await hf.session("s").send("x").catch((reason) => reason);
    expect(refused.code).toBe("auth.invalid");
  });

  test("resumes after a reload from the cursor, with the view it had", async () => {
    const store = storage();
    const session = await client().create({ agent: "writer" });
    await (await session.send("count 50")).finished();
    const before = client({ storage: store });
    const end = before.session(session.id).follow();
    await until(() => before.session(session.id).status === "live");
    const shown = canonical(before.session(session.id).view.export());
    end();
    before.close();
    await session.send("while away", { silent: true });
    const after = client({ storage: store });
    const reloaded = after.session(session.id);
    expect(canonical(reloaded.view.export())).toBe(shown); // before anything was asked of the server
    await reloaded.state();
    expect(reloaded.recovery).toMatchObject({ missed: 1, received: 1, gaps: 0, repeats: 0, snapshot: null });
    expect(reloaded.view.items.at(-1)).toMatchObject({ text: "while away" });
  });

  test("takes a snapshot when what it kept does not fit any more", async () => {
    const store = storage();
    const id = fresh();
    await client().create({ session: id, title: "first life" });
    const before = client({ storage: store });
    await before.session(id).state();
    before.close();
    const other = client();
    await other.session(id).delete();
    await other.create({ session: id, title: "second life" });
    const after = client({ storage: store }).session(id);
    expect(after.view.title).toBe("first life");
    expect((await after.state()).title).toBe("second life");
    expect(after.recovery).toMatchObject({ snapshot: "reset" });
  });

  test("does not show one person what was kept for another", async () => {
    const store = storage();
    const session = await client().create({ title: "kept" });
    const before = client({ storage: store });
    await before.session(session.id).state();
    before.close();
    const ben = client({ storage: store, token: inject("tokens").ben }).session(session.id);
    await ben.state();
    expect(ben.recovery).toMatchObject({ from: null });
  });

  test("sends after a reload what had no answer before it", async () => {
    const store = storage();
    const session = await client().create();
    const before = client({ storage: store });
    await before.ready();
    before.cut(60_000);
    before.session(session.id).send("kept", { silent: true }).catch(() => {});
    const page = new Map(store.values); // the page goes without a word
    before.close();
    store.values.clear();
    for (const [name, value] of page) store.values.set(name, value);
    const after = client({ storage: store });
    after.session(session.id).send("new", { silent: true }).catch(() => {}); // before anybody knows whose page it is
    await session.until(({ items }) => items.some((item) => item.kind === "message" && item.text === "kept"));
    await until(() => store.values.size === 0);
  });

  test("what was begun while the line was away: the session is there before anybody reads it", async () => {
    const dial = websocketDial(inject("url"), WebSocket as unknown as WebSocketLike, () => {});
    const sent: string[] = [];
    const hf = client({
      dial: (hello, sink) => {
        const transport = dial(hello, sink);
        const send = (message: object) => {
          sent.push(String((message as { op: string }).op));
          transport.send(message);
        };
        return { kind: transport.kind, send, close: () => transport.close() };
      },
    });
    await hf.ready();
    hf.cut(100);
    const session = hf.session(fresh());
    const end = session.follow();
    const [, run] = await Promise.all([session.create({ agent: "writer" }), session.send("count 3")]);
    expect(await run.text()).toBe("0 1 2 ");
    await until(() => session.status === "live");
    expect(sent.indexOf("create")).toBeLessThan(sent.indexOf("subscribe"));
    end();
  });

  test("a reader that came before its session was created reads it", async () => {
    const dial = websocketDial(inject("url"), WebSocket as unknown as WebSocketLike, () => {});
    let early = 0;
    const hf = client({
      dial: (hello, sink) => {
        const transport = dial(hello, sink);
        const send = (message: object) => {
          const { op, id } = message as { op: string; id: number };
          if (op !== "subscribe" || early++) return transport.send(message);
          queueMicrotask(() => sink.received({ op: "error", id, error: { code: "session.not_found", message: "no", retry: false } }, 0));
        };
        return { kind: transport.kind, send, close: () => transport.close() };
      },
    });
    await hf.ready();
    const session = hf.session(fresh());
    const end = session.follow();
    await until(() => session.error !== null);
    await session.create({ agent: "writer" });
    await until(() => session.status === "live");
    expect(session.error).toBeNull();
    end();
  });

  test.each([true, false])("stays away as long as it is told, also before it is welcomed (%s)", async (welcomed) => {
    const dial = websocketDial(inject("url"), WebSocket as unknown as WebSocketLike, () => {});
    const slow = { code: "limit.rate", message: "too fast", retry: true, retry_after_s: 7 };
    let lines = 0;
    let last!: { received: (message: any, size: number) => void; lost: (error: any) => void };
    const hf = client({
      dial: (hello, sink) => {
        last = sink;
        if (++lines === 1 || welcomed) return dial(hello, sink);
        queueMicrotask(() => sink.received({ op: "error", error: slow }, 0));
        return { kind: "websocket", send: () => {}, close: () => {} };
      },
    });
    await hf.ready();
    vi.spyOn(Math, "random").mockReturnValue(0); // nothing but what is asked for
    const lostAt = Date.now();
    if (welcomed) last.received({ op: "error", error: slow }, 0);
    last.lost({ code: "connection.lost", message: "closed (4429)", retry: true });
    await until(() => hf.status.retryAt !== null && hf.status.retryAt >= lostAt + 7_000);
    expect(lines).toBe(welcomed ? 1 : 2);
    vi.restoreAllMocks();
  });

  test("the view's shape counts what becomes of runs, so that a page draws lost attempts at once", () => {
    const view = new View();
    const seen: number[] = [];
    const run = (seq: number, type: string, data: object) => {
      apply(view, { seq, ts: seq, actor: "system:session", type, run: "r1", data } as unknown as SessionEvent);
      seen.push(view.shape);
    };
    run(1, "run.queued", { agent: "writer" });
    run(2, "run.started", { agent: "writer", generation: 1 });
    run(3, "run.attempt_lost", { generation: 1, reason: "lease expired", retry: true });
    run(4, "run.ended", { status: "lost" });
    expect(new Set(seen).size).toBe(4);
  });
});
