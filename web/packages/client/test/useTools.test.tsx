// @vitest-environment happy-dom
// The hook that serves tools: mounted twice by StrictMode, it runs a call once, with the newest function.

import { StrictMode, useState } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, expect, test } from "vitest";
import { HoldfastProvider, useApprovals, useSession, useTools } from "../src/react/index.js";
import { client, until } from "./client.js";

let root: Root | undefined;
afterEach(() => root?.unmount());

const ran: string[] = [];

function Page({ id }: { id: string }) {
  const session = useSession(id);
  const [word, setWord] = useState("first");
  useTools(session, { pick: () => (ran.push(word), word) });
  return <button onClick={() => setWord("second")}>{word} {useApprovals(session).length}</button>;
}

test("a component serves tools while it is mounted, and nobody is asked to approve", async () => {
  const hf = client();
  const session = await hf.create({ agent: "writer" });
  const box = document.body.appendChild(document.createElement("div"));
  root = createRoot(box);
  root.render(<StrictMode><HoldfastProvider client={hf}><Page id={session.id} /></HoldfastProvider></StrictMode>);
  (await until(() => box.querySelector("button"))).click();
  await until(() => box.textContent === "second 0");
  const run = await session.send('browser {"name": "pick", "args": {}}');
  expect(await run.text()).toContain("second");
  expect(ran).toEqual(["second"]);
  root.unmount();
  root = undefined;
  const another = client();
  const waiting = await another.session(session.id).send('browser {"name": "pick", "args": {}, "deadline_s": 0.3}');
  expect(await waiting.text()).toContain("no tab took it");
});
