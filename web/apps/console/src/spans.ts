// Owns what a timeline shows: for each actor, what it did from which event to which.

import type { SessionEvent } from "holdfast-ai";

export interface LaneSpan {
  /** Index of the first and the last event. */
  from: number;
  to: number;
  kind: "text" | "thought" | "tool" | "run" | "control" | "other";
  label: string;
}

export interface Lane {
  actor: string;
  spans: LaneSpan[];
}

const KINDS: [prefix: string, kind: LaneSpan["kind"]][] = [
  ["TEXT_", "text"], ["REASONING_", "thought"], ["TOOL_", "tool"], ["run.", "run"], ["cancel.", "control"], ["approval.", "control"],
  ["steer.", "control"], ["handoff.", "control"], ["input.steer", "control"], ["input.", "text"],
];

const kindOf = (type: string): LaneSpan["kind"] => KINDS.find(([prefix]) => type.startsWith(prefix))?.[1] ?? "other";

/** Lanes in the order in which actors first appear. Events of one message or call make one span. */
export function lanesOf(events: readonly SessionEvent[], previous: { lanes: Lane[]; count: number } | null): { lanes: Lane[]; count: number } {
  const lanes = previous?.lanes ?? [];
  for (let at = previous?.count ?? 0; at < events.length; at++) {
    const { actor, type, data } = events[at]!;
    let lane = lanes.find((one) => one.actor === actor);
    if (!lane) lanes.push((lane = { actor, spans: [] }));
    const kind = kindOf(type);
    const ident = String(data["messageId"] ?? data["toolCallId"] ?? "");
    const last = lane.spans.at(-1);
    const label = ident ? `${kind === "text" ? "message" : kind === "thought" ? "thinking" : "tool call"} ${ident}` : type;
    if (ident && last?.label === label) last.to = at;
    else lane.spans.push({ from: at, to: at, kind, label });
  }
  return { lanes, count: events.length };
}
