// Without WebSockets: sessions over SSE and HTTP requests give the same, and a WebSocket is gone back to.

import { describe, expect, inject, test } from "vitest";
import { canonical } from "../src/fold.js";
import type { ApprovalItem } from "../src/index.js";
import { client, closeAfterTest, until } from "./client.js";
import { faultProxy } from "./proxy.js";

/** A proxy that blocks WebSockets, and a client behind it. */
async function blocked() {
  const via = closeAfterTest(await faultProxy(inject("url")));
  via.blocksWebSockets = true;
  return { via, hf: client({ url: via.url }) };
}

describe("where WebSockets are blocked", () => {
  test("a session is followed, spoken in, steered and decided over HTTP", async () => {
    const { hf } = await blocked();
    await hf.ready();
    expect(hf.status.transport).toBe("sse");
    expect(hf.principal).toBe("user:ann");
    const session = await hf.create({ agent: "writer", title: "Over HTTP" });
    const end = session.follow();
    const run = await session.send("count 100");
    expect(await run.text()).toBe(Array.from({ length: 100 }, (_, i) => `${i} `).join(""));
    const waiting = await session.send("wait for it");
    await until(() => waiting.state?.status === "running");
    await waiting.steer("and go");
    expect(await waiting.text()).toBe("waiting and go");
    const mail = await session.send("mail x@example.com");
    const approval = await until(() => session.view.items.find((item): item is ApprovalItem => item.kind === "approval"));
    await session.deny(approval.id);
    expect(await mail.text()).toBe("not sent");
    await session.rename("Renamed");
    const other = await client().session(session.id).state();
    await until(() => session.cursor!.seq === session.tail && session.view.title === "Renamed");
    expect(canonical(session.view.export())).toBe(canonical(other.export()));
    end();
  });

  test("every event comes once over many cuts", async () => {
    const { via, hf } = await blocked();
    const session = await hf.create({ agent: "writer" });
    const end = session.follow();
    await until(() => session.status === "live");
    const run = await session.send("count 300");
    for (let i = 0; i < 3; i++) {
      await until(() => session.status === "live");
      await new Promise((resolve) => setTimeout(resolve, 80));
      via.cut();
      await until(() => session.status === "offline");
    }
    expect(await run.text()).toBe(Array.from({ length: 300 }, (_, i) => `${i} `).join(""));
    expect(session.recovery).toMatchObject({ gaps: 0, repeats: 0, snapshot: null });
    expect(session.recovery!.received).toBe(session.recovery!.missed);
    end();
  });

  test("the list of sessions is looked at again and again", async () => {
    const { hf } = await blocked();
    const list = hf.sessions();
    const end = list.follow();
    await until(() => list.fresh);
    const session = await hf.create({ title: "Listed" });
    await until(() => list.rows.find((row) => row.session === session.id));
    end();
  });

  test("a refusal is a refusal", async () => {
    const { via } = await blocked();
    const reader = client({ url: via.url, token: inject("tokens").reader });
    const refused = await reader.create().catch((error) => error);
    expect(refused).toMatchObject({ code: "auth.denied", retry: false });
    const bad = await client({ url: via.url, token: "rubbish" }).ready().catch((error) => error);
    expect(bad.code).toBe("auth.invalid");
    expect((await reader.session("no-such").state().catch((error) => error)).code).toBe("session.not_found");
  });

  test("nothing is tried but WebSockets when that is asked for", async () => {
    const via = closeAfterTest(await faultProxy(inject("url")));
    via.blocksWebSockets = true;
    const hf = client({ url: via.url, fallback: false });
    await until(() => hf.status.attempts > 3);
    expect(hf.status.state).toBe("offline");
    via.blocksWebSockets = false;
    await until(() => hf.status.state === "live");
    expect(hf.status.transport).toBe("websocket");
  });

  test("a WebSocket is gone back to when one can be opened", async () => {
    const { via, hf } = await blocked();
    await hf.ready();
    via.blocksWebSockets = false;
    via.cut(); // the stream is lost, and with it the reason to stay
    await until(() => hf.status.transport === "sse" || hf.status.transport === "websocket");
    hf.cut();
    await until(() => hf.status.state === "live");
  });

  test("a server that was only away is spoken to over WebSockets again within seconds", async () => {
    const { via, hf } = await blocked();
    await hf.ready();
    expect(hf.status.transport).toBe("sse");
    via.blocksWebSockets = false; // nothing is cut: it is found out
    await until(() => hf.status.transport === "websocket");
    expect(hf.status.state).not.toBe("offline");
  });

  test("a client without any WebSocket does without", async () => {
    const hf = client({ WebSocket: undefined });
    expect(globalThis.WebSocket).toBeUndefined();
    await hf.ready();
    expect(hf.status.transport).toBe("sse");
  });
});

test("over HTTP it is tried again and again whether a WebSocket can be opened", async () => {
  const { sseDial } = await import("../src/sse.js");
  const http = { server: inject("url"), token: inject("tokens").ann, fetch };
  let tried = 0;
  const lost = await new Promise<{ retry?: boolean }>((resolve) => {
    const leave = (whenOpen?: () => void) => void (++tried === 3 && whenOpen!());
    const hello = { token: http.token, surface: "", device: "" };
    closeAfterTest(sseDial(http, leave, 20)(hello, { received: () => {}, lost: resolve }));
  });
  expect(lost.retry).toBe(true);
  expect(tried).toBe(3);
});
