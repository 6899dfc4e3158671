import { describe, expect, it } from "vitest";

import type { DoorStatus, GateFacts, GateStatus, Shown } from "../src/plan/api.js";
import { costPerAccepted } from "../src/plan/spend.js";
import { doorShown, dueWords, gateAddress, opensAlone, planAddress, sentenceOf, sortedGates, spanWords, stepCell, timeWords, worst } from "../src/plan/words.js";

const DAY_MS = 86_400_000;
const fact = (gate: string, built = true): GateFacts => ({ gate, step: Number(gate.split(".")[0]), title: `title of ${gate}`, holds: ["L"], span: "workflow", built, effect: "" });
const gate = (name: string, shown: Shown, cause = ""): GateStatus => ({ gate: name, workflow: "offers", verdict: shown === "waived" ? "fail" : shown, shown, cause, n: 1, reason: `because of ${name}`, fix: "Mend it", as_of_ms: 0, valid_until_ms: 0, standing: false, verdict_id: "", since_ms: 0, waiver: "", former: "" });
const cell = (...shown: [string, Shown][]) => stepCell(6, [fact("6.a"), fact("6.b")], new Map(shown.map(([name, each]) => [name, gate(name, each)])));

describe("a step of a workflow", () => {
  it("is as its worst gate, and what is unknown is never better than what was waived", () => {
    expect(worst(["pass", "waived", "unknown", "not_applicable"])).toBe("unknown");
    expect(worst(["pass", "waived"])).toBe("waived");
    expect(cell(["6.a", "pass"], ["6.b", "fail"]).shown).toBe("fail");
    expect(cell(["6.a", "pass"], ["6.b", "unknown"]).shown).toBe("unknown");
    expect(cell(["6.a", "pass"], ["6.b", "pass"])).toMatchObject({ shown: "pass", word: "pass" });
  });
  it("is unknown where a gate has no status at all: nothing is green for want of rows", () => {
    expect(cell(["6.a", "pass"]).shown).toBe("unknown");
    expect(cell().shown).toBe("unknown");
    expect(worst([])).toBe("unknown");
  });
  it("counts of how many, without those that do not apply", () => {
    expect(cell(["6.a", "fail"], ["6.b", "pass"]).word).toBe("1 of 2 fail");
    expect(cell(["6.a", "pass"], ["6.b", "not_applicable"]).word).toBe("pass");
    expect(cell(["6.a", "not_applicable"], ["6.b", "not_applicable"]).word).toBe("n/a");
  });
  it("says all of it, and leads to the gate that makes it so", () => {
    const found = cell(["6.a", "pass"], ["6.b", "fail"]);
    expect(found.gate).toBe("6.b");
    expect(found.says).toBe("6.a title of 6.a: pass, because of 6.a; 6.b title of 6.b: fail, because of 6.b");
  });
});

describe("doors", () => {
  const door = (shut_by: string[], unknown: string[]): DoorStatus => ({ door: "L", open: !shut_by.length && !unknown.length, shut_by, unknown });
  it("are shut, unknown or open", () => {
    expect([door(["6.a"], ["2.a"]), door([], ["2.a"]), door([], [])].map(doorShown)).toEqual(["fail", "unknown", "pass"]);
  });
  it("open by a waiver only where no other gate is in the way", () => {
    expect(opensAlone("6.a", [door(["6.a"], [])])).toEqual(["L"]);
    expect(opensAlone("6.a", [door(["6.a"], ["2.a"])])).toEqual([]);
    expect(opensAlone("2.a", [door([], ["2.a"])])).toEqual(["L"]);
    expect(opensAlone("6.a", [door([], [])])).toEqual([]);
  });
});

describe("words", () => {
  it("list what wants something first, and what nobody has built apart", () => {
    const found = sortedGates({ gates: [gate("1.a", "pass"), gate("1.b", "fail"), gate("2.a", "unknown", "unbuilt"), gate("4.b", "waived", "unbuilt"), gate("6.a", "fail")], missing: ["6.a"] });
    expect(found.built.map((each) => each.gate)).toEqual(["6.a", "1.b", "4.b", "1.a"]);
    expect(found.unbuilt.map((each) => each.gate)).toEqual(["2.a"]);
  });
  it("say dates in the organisation's zone, and how late something is", () => {
    const late = Date.UTC(2026, 10, 29, 23, 30);
    expect(timeWords("Europe/Berlin", late)).toBe("Mon 30 Nov, 00:30");
    expect(dueWords("UTC", late, late + 3 * DAY_MS)).toEqual({ text: "Sun 29 Nov, 3 days late", late: true });
    expect(dueWords("UTC", late, late - DAY_MS)).toEqual({ text: "Sun 29 Nov, in 1 day", late: false });
    expect(dueWords("UTC", 0, late)).toEqual({ text: "no date", late: false });
    expect([spanWords(0), spanWords(3_600_000), spanWords(40 * DAY_MS)]).toEqual(["less than an hour", "1 hour", "40 days"]);
  });
  it("begin a sentence with a capital letter, and leave a name as it is", () => {
    expect(sentenceOf("nobody owns the workflow")).toBe("Nobody owns the workflow.");
    expect(sentenceOf("xenia.koch owns it, zoe.holm is deputy")).toBe("xenia.koch owns it, zoe.holm is deputy.");
    expect(sentenceOf("gpt-5 served, and nobody named it.")).toBe("gpt-5 served, and nobody named it.");
  });
  it("have addresses that survive any name", () => {
    expect(planAddress()).toBe("#/plan");
    expect(gateAddress("6.a", "a/b c")).toBe("#/plan/workflow/a%2Fb%20c?gate=6.a");
    expect(gateAddress("4.a", "")).toBe("#/plan/gate/4.a");
  });
});

describe("cost per accepted outcome", () => {
  const row = (n: number, accepted: number, each_usd: string | null) => ({ workflow: "offers", task: "", model: "", n, accepted, rejected: n - accepted, escalated: 0, at_least: 0, each_usd, accepted_usd: null, value_usd: "0" });
  it("is what all judged work cost for each accepted piece of it", () => {
    expect(costPerAccepted([row(3, 2, "0.10"), row(1, 1, "0.20")])).toEqual({ n: 4, accepted: 3, each: Math.round(500_000_000 / 3) });
  });
  it("is unknown, and not zero, where a cost is not known or nothing was accepted", () => {
    expect(costPerAccepted([row(3, 2, null), row(1, 1, "0.20")]).each).toBeNull();
    expect(costPerAccepted([row(3, 0, "0.10")]).each).toBeNull();
    expect(costPerAccepted([]).each).toBeNull();
    expect(costPerAccepted([row(0, 0, null), row(1, 1, "0.20")]).each).toBe(200_000_000);
  });
});
