import { expect, test } from "vitest";

import { joinText } from "../src/outcome.js";
import type { Item, RunState } from "../src/protocol.js";

const run = { id: "r1", status: "completed", losses: [{ attempt: 1, reason: "lease", ts: 1 }] } as unknown as RunState;
const message = (attempt: number, text: string, more = {}): Item =>
  ({ kind: "message", id: `${attempt}.${text}`, run: "r1", attempt, status: "complete", text, ...more }) as unknown as Item;

test("of what a lost attempt said only that counts which no later one says again", () => {
  const items = [
    message(1, "kept", { kept: true }), message(1, "in vain"), message(1, "half", { status: "cut" }), message(2, "again"),
    message(2, "stopped", { status: "cut" }), message(1, "somebody else", { run: "r2" }),
  ];
  expect(joinText(items, run)).toBe("kept\n\nagain\n\nstopped");
});
