// FOLD-2, FOLD-3, FOLD-6, FOLD-7: our fold gives what the Python fold gives, to the byte, whatever the log says.

import { execFileSync } from "node:child_process";
import { beforeAll, describe, expect, test } from "vitest";
import { apply, canonical } from "../src/fold.js";
import { View, visible, type SessionEvent, type ViewData } from "../src/index.js";
import { PYTHON, ROOT } from "./python.js";

interface Case {
  seed: number;
  view: ViewData;
  events: SessionEvent[];
  looks: number[];
  joins: boolean[];
  seen: string[];
  end: string;
  shown: string[];
}

describe("the fold", () => {
  let cases: Case[];
  beforeAll(() => {
    const script = `${ROOT}web/packages/client/test/fold_cases.py`;
    const env = { ...process.env, PYTHONPATH: ROOT };
    const lines = execFileSync(PYTHON, [script], { cwd: ROOT, env, maxBuffer: 1 << 28, encoding: "utf8" });
    cases = lines.trim().split("\n").map((line) => JSON.parse(line) as Case);
  });

  test("gives the bytes that the Python fold gives", () => {
    expect(cases.length).toBe(500);
    for (const { seed, view: start, events, looks, joins, seen, end, shown } of cases) {
      let view = View.load(start);
      const joined: boolean[] = [];
      const checked: string[] = [];
      events.forEach((event, number) => {
        joined.push(apply(view, event));
        if (!looks.includes(number)) return;
        checked.push(canonical(view.export()));
        view = View.load(JSON.parse(JSON.stringify(view.export())));
      });
      expect(joined, `seed ${seed}`).toEqual(joins);
      expect(checked, `seed ${seed}`).toEqual(seen);
      expect(canonical(view.export()), `seed ${seed}`).toBe(end);
      expect(visible(view).map((item) => `${item.kind} ${item.id}`), `seed ${seed}`).toEqual(shown);
    }
  });

  test("counts its changes, and which parts changed", () => {
    const view = new View();
    const event = (seq: number, type: string, data: Record<string, unknown>): SessionEvent =>
      ({ seq, ts: 1, actor: "agent:a", type, data });
    apply(view, event(1, "TEXT_MESSAGE_START", { messageId: "m1" }));
    apply(view, event(2, "TEXT_MESSAGE_START", { messageId: "m2" }));
    const [first, second] = view.items;
    const before = [view.changedAt(first!), view.changedAt(second!)];
    apply(view, event(3, "TEXT_MESSAGE_CONTENT", { messageId: "m2", delta: "x" }));
    expect(view.changedAt(first!)).toBe(before[0]);
    expect(view.changedAt(second!)).toBeGreaterThan(before[1]!);
  });

  test("refuses a delta that does not join, and changes nothing", () => {
    const view = new View();
    apply(view, { seq: 1, ts: 1, actor: "agent:a", type: "TEXT_MESSAGE_START", data: { messageId: "m" } });
    const before = canonical(view.export());
    const delta = { messageId: "m", delta: "x" };
    expect(apply(view, { seq: 2, ts: 1, actor: "agent:a", type: "TEXT_MESSAGE_CONTENT", data: delta, offset: 4 })).toBe(false);
    expect(canonical(view.export())).toBe(before);
  });

  test("refuses a view of another fold version", () => {
    expect(() => View.load({ ...new View().export(), fold: 2 })).toThrow("fold version 2");
  });
});
