// One refusal, one code, one fix: over a WebSocket and over HTTP as everywhere (tests/acceptance/test_one_refusal.py).

import { expect, inject, test } from "vitest";
import type { Client, HoldfastError, Session } from "../src/index.js";
import { client, closeAfterTest, fresh } from "./client.js";
import { faultProxy } from "./proxy.js";

const LONG = "x".repeat(200_001);
const event = { type: "CUSTOM", data: { name: "n", value: 1 } };
const nested = (levels: number): unknown => (levels ? { x: nested(levels - 1) } : 1);

const FAULTS: [string, (session: Session, hf: Client) => Promise<unknown>, string, string][] = [
  ["a text", (session) => session.send(LONG), "input.too_large", "200000 characters, or put"],
  ["words to a run", (session) => session.run("r1").steer(LONG), "input.too_large", "200000 characters, or put"],
  ["an interruption", (session) => session.interrupt(LONG), "input.too_large", "200000 characters, or put"],
  ["a title", (session) => session.rename("n".repeat(201)), "input.too_large", "Use at most 200 characters."],
  ["files", (session) => session.send("x", { attachments: Array(33).fill({ blob: "b" }) }), "input.too_large", "Send at most 32"],
  ["events", (session) => session.append(Array(1_001).fill(event)), "input.too_large", "Send at most 1000"],
  ["a deep value", (session) => session.create({ meta: nested(40) as Record<string, unknown> }), "input.too_deep", "Flatten"],
  ["a very deep value", (session) => session.create({ meta: nested(900) as Record<string, unknown> }), "input.too_deep", "Flatten"],
  ["a key", (session) => session.send("x", { key: "i".repeat(201) }), "input.malformed", "Use 1 to 200 printable ASCII"],
  ["half a character", (session) => session.send("\ud83c"), "input.malformed", ""],
  ["a session id", async (_, hf) => hf.session("s".repeat(129)).state(), "input.session_id", "Use 1 to 128"],
];

test.each(["websocket", "sse"])("over %s a fault has one code and one fix", async (transport) => {
  const via = closeAfterTest(await faultProxy(inject("url")));
  via.blocksWebSockets = transport === "sse";
  const hf = client({ url: via.url });
  await hf.ready();
  expect(hf.status.transport).toBe(transport);
  const session = await hf.create({ session: fresh() });
  for (const [name, act, code, fix] of FAULTS) {
    const error = await act(session, hf).then(() => { throw new Error("was not refused"); }, (refused: HoldfastError) => refused);
    expect(error, name).toMatchObject({ code, retry: false });
    expect(error.fix, name).toContain(fix);
  }
});
