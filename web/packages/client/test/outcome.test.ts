import { expect, test } from "vitest";

import { said } from "../src/outcome.js";
import type { Item, RunState } from "../src/protocol.js";

const run = { id: "r1", status: "completed", losses: [{ attempt: 1, reason: "lease", ts: 1 }] } as unknown as RunState;
const message = (attempt: number, status: string, text: string, of = "r1"): Item =>
  ({ kind: "message", id: `${of}.${attempt}.${text}`, run: of, attempt, status, text }) as unknown as Item;

test("what a lost attempt completed counts as said, what it left unfinished does not", () => {
  const items = [
    message(1, "complete", "whole"), message(1, "cut", "half"), message(2, "complete", "again"), message(2, "cut", "stopped"),
    message(1, "complete", "somebody else", "r2"),
  ];
  expect(said(items, run)).toBe("whole\n\nagain\n\nstopped");
});
