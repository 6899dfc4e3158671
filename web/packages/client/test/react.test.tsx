// @vitest-environment happy-dom
// The hooks, drawn by React: what they show follows a real session, and nothing is drawn again that did not change.

import { memo, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, expect, inject, test } from "vitest";
import { WebSocket } from "ws";
import { type Client, type MessageItem } from "../src/index.js";
import {
  HoldfastProvider, useApprovals, useItems, useMessages, usePresence, useRun, useSession, useSessions, useStatus,
} from "../src/react/index.js";
import { client, closeAfterTest, until } from "./client.js";

let root: Root | undefined;
afterEach(() => {
  root?.unmount();
  root = undefined;
});

const drawn = new Map<string, number>();
const Line = memo(function Line({ message }: { message: MessageItem }) {
  drawn.set(message.id, (drawn.get(message.id) ?? 0) + 1);
  return <p>{message.text}</p>;
});

function Chat({ id }: { id: string }) {
  const session = useSession(id);
  const messages = useMessages(session);
  const approvals = useApprovals(session);
  const run = useRun(session);
  const here = usePresence(session);
  const items = useItems(session);
  const status = useStatus();
  const rows = useSessions();
  return (
    <main>
      {messages.map((message) => <Line key={message.id} message={message} />)}
      {approvals.map((one) => <button key={one.id} onClick={() => void session.approve(one.id)}>{one.tool}</button>)}
      <footer>{[status.state, run?.status, here.length, items.length, rows.some((row) => row.session === id)].join(" ")}</footer>
    </main>
  );
}

function draw(hf: Client, id: string): HTMLElement {
  const box = document.body.appendChild(document.createElement("div"));
  root = createRoot(box);
  root.render(<StrictMode><HoldfastProvider client={hf}><Chat id={id} /></HoldfastProvider></StrictMode>);
  return box;
}

const hooked = () => client({ WebSocket: WebSocket as never, token: inject("tokens").ann });

test("a page shows a session as it grows, and draws only what changed", async () => {
  const hf = hooked();
  const session = await hf.create({ agent: "writer" });
  const first = await session.send("hello");
  await first.finished();
  const box = draw(hf, session.id);
  await until(() => box.querySelectorAll("p").length === 2);
  await until(() => box.querySelector("footer")!.textContent === "live completed 1 2 true");
  const before = drawn.get(first.input)!;
  const run = await session.send("count 100");
  expect(await run.text()).toMatch(/99 $/);
  await until(() => [...box.querySelectorAll("p")].at(-1)!.textContent!.endsWith("99 "));
  expect(drawn.get(first.input)).toBe(before);
});

test("an approval is a button until it is decided", async () => {
  const hf = hooked();
  const session = await hf.create({ agent: "writer" });
  const box = draw(hf, session.id);
  const run = await session.send("mail x@example.com");
  const button = await until(() => box.querySelector("button"));
  expect(button.textContent).toBe("mail");
  button.click();
  expect(await run.text()).toBe("sent");
  await until(() => box.querySelector("button") === null);
});

test("a session is followed while something shows it, and no longer", async () => {
  const hf = closeAfterTest(hooked());
  const session = await hf.create();
  draw(hf, session.id);
  await until(() => session.status === "live");
  root!.unmount();
  root = undefined;
  await until(() => session.status === "idle");
});
