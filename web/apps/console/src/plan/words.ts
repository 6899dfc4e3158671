// Owns the words of the plan: verdicts, doors and days as people say them, and addresses of its pages. Pure.

import type { DoorName, DoorStatus, GateFacts, GateStatus, Shown, WorkflowPlan } from "./api.js";

export const DAY_MS = 86_400_000;
export const VERDICTS: Record<Shown, { word: string; glyph: string }> = {
  pass: { word: "pass", glyph: "completed" }, fail: { word: "fail", glyph: "failed" }, unknown: { word: "unknown", glyph: "question" },
  not_applicable: { word: "not applicable", glyph: "minus" }, waived: { word: "waived", glyph: "over" },
};
export const DOORS: Record<DoorName, { name: string; opens: string }> = {
  L: { name: "Launch", opens: "a pilot may begin" }, P: { name: "Leaving the pilot", opens: "it may go into production" },
  O: { name: "The organisation", opens: "a statement may be signed" }, R: { name: "Running", opens: "new runs may begin" },
};
/** The worst first. What is unknown is never better than what somebody waived. */
const WORST: readonly Shown[] = ["fail", "unknown", "waived", "pass", "not_applicable"];

/** The address of a page of the plan: `monday` is the plan itself. */
export function planAddress(page = "", name = "", query: Record<string, string> = {}): string {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `#/plan${page && `/${page}`}${name && `/${encodeURIComponent(name)}`}${search && `?${search}`}`;
}
export const workflowAddress = (workflow: string, gate = ""): string => planAddress("workflow", workflow, { gate });
/** Of a gate, where it is explained: a gate of the organisation has a page of its own. */
export const gateAddress = (gate: string, workflow: string): string => (workflow ? workflowAddress(workflow, gate) : planAddress("gate", gate));

const inZone = (zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat => new Intl.DateTimeFormat("en-GB", { ...options, ...(zone && { timeZone: zone }) });
/** Mon 30 Nov, in a zone. */
export const dayWords = (zone: string, ms: number): string => inZone(zone, { weekday: "short", day: "numeric", month: "short" }).format(ms).replace(",", "");
/** Mon 30 Nov, 07:00, in a zone. */
export const timeWords = (zone: string, ms: number): string => `${dayWords(zone, ms)}, ${inZone(zone, { hour: "2-digit", minute: "2-digit" }).format(ms)}`;

/** How long something is, in whole days, else hours. */
export function spanWords(ms: number): string {
  const days = Math.floor(ms / DAY_MS);
  if (days >= 1) return days === 1 ? "1 day" : `${days.toLocaleString("en")} days`;
  const hours = Math.floor(ms / 3_600_000);
  return hours >= 1 ? (hours === 1 ? "1 hour" : `${hours} hours`) : "less than an hour";
}

/** "by Tue 1 Dec, in 2 days", "3 days late"; of nothing with a date "no date". */
export function dueWords(zone: string, due_ms: number, now_ms: number): { text: string; late: boolean } {
  if (!due_ms) return { text: "no date", late: false };
  const late = due_ms < now_ms;
  return { text: `${dayWords(zone, due_ms)}, ${late ? `${spanWords(now_ms - due_ms)} late` : `in ${spanWords(due_ms - now_ms)}`}`, late };
}

export const worst = (shown: readonly Shown[]): Shown => WORST.find((each) => shown.includes(each)) ?? "unknown";

export interface StepCell {
  step: number;
  shown: Shown;
  /** What stands in the cell, below its glyph. */
  word: string;
  /** The first gate that makes it so. */
  gate: string;
  /** All of it, in a sentence for each gate. */
  says: string;
  unbuilt: number;
}

/** A step of a workflow: as its worst gate stands. */
export function stepCell(step: number, facts: readonly GateFacts[], gates: ReadonlyMap<string, GateStatus>): StepCell {
  const own = facts.filter((each) => each.step === step);
  const found = own.map(({ gate, title }) => ({ gate, title, status: gates.get(gate) }));
  const shown = worst(found.map(({ status }) => status?.shown ?? "unknown"));
  const first = found.find(({ status }) => (status?.shown ?? "unknown") === shown);
  const same = found.filter(({ status }) => (status?.shown ?? "unknown") === shown).length;
  const applicable = shown === "not_applicable" ? found.length : found.filter(({ status }) => status?.shown !== "not_applicable").length;
  const unbuilt = found.filter(({ status }) => status?.cause === "unbuilt").length;
  const word = shown === "not_applicable" ? "n/a" : VERDICTS[shown].word;
  return {
    step, shown, gate: first?.gate ?? "", unbuilt, word: same < applicable ? `${same} of ${applicable} ${word}` : word,
    says: found.map(({ gate, title, status }) => `${gate} ${title}: ${VERDICTS[status?.shown ?? "unknown"].word}${status?.reason ? `, ${status.reason}` : ""}`).join("; "),
  };
}

/** How a door stands: open, shut by gates that fail, or nobody can tell. */
export const doorShown = ({ open, shut_by }: DoorStatus): Shown => (open ? "pass" : shut_by.length ? "fail" : "unknown");

/** Doors that one gate alone keeps shut: what a waiver of it would open. */
export const opensAlone = (gate: string, doors: readonly DoorStatus[]): DoorName[] => doors.filter(({ open, shut_by, unknown }) => !open && shut_by.length + unknown.length === 1 && [...shut_by, ...unknown][0] === gate).map(({ door }) => door);

/** Gates in the order in which somebody reads them: those that want something first, those that nobody has built apart. */
export function sortedGates({ gates, missing }: Pick<WorkflowPlan, "gates" | "missing">): { built: GateStatus[]; unbuilt: GateStatus[] } {
  const wanted = new Set(missing);
  const place = (each: GateStatus): number => WORST.indexOf(each.shown) * 2 + (wanted.has(each.gate) ? 0 : 1);
  const built = gates.filter(({ cause, shown }) => cause !== "unbuilt" || shown !== "unknown");
  return { built: built.map((each, at): [GateStatus, number] => [each, at]).sort(([one, left], [other, right]) => place(one) - place(other) || left - right).map(([each]) => each), unbuilt: gates.filter((each) => !built.includes(each)) };
}

export const several = (count: number, one: string, many = `${one}s`): string => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
/** `user:ann` → ann; an office stays as it is. */
export const whoWords = (who: string): string => who.replace(/^user:/, "") || "somebody";
export const ofWords = (workflow: string): string => workflow || "the organisation";
/** What the server says of something, as a sentence of its own; a name with a dot or a number in it stays as it is. */
export const sentenceOf = (text: string): string => ended(/^\S*[.@\d-]\w/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1));
/** A sentence of the server's, with its full stop. */
export const ended = (text: string): string => (text ? `${text.replace(/\.$/, "")}.` : "");

/** Where what an item of the inbox is about stands: its link names a page, its kind the gate. */
export function inboxAddress({ link, kind, workflow }: { link: string; kind: string; workflow: string }): string {
  const gate = /^(?:gate|alarm):(.+)$/.exec(kind)?.[1] ?? "";
  if (gate) return gateAddress(gate, workflow);
  if (workflow && (!link || link.startsWith("/console/workflows/"))) return workflowAddress(workflow);
  const page = link.replace(/^\/console\/?#?\/?/, "").split("/")[0] ?? "";
  return ["inventory", "waivers", "incidents", "grid", "inbox"].includes(page) ? planAddress(page) : page === "budgets" ? "#/budgets" : planAddress();
}
