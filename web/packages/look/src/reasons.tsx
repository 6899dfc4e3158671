// Owns the sentences that say why: why a run was stopped, and which rule asks for an approval or lets silence give one.

import { Glyph } from "./glyph.js";
import { nameOf } from "./actor.js";

interface Cancelled {
  status: string;
  cancel?: { by: string; ts: number; reason?: string };
}

interface Ruled {
  rule?: string;
  why?: string;
  run?: string;
  default: string;
  actor: string;
  requester?: string;
}

/** Why somebody stopped a run; nothing when they gave no reason, or stopped the run above it, which says so already. */
export function StopReason({ run, above, me = "" }: { run: Cancelled; above?: Cancelled | undefined; me?: string }) {
  if (!run.cancel?.reason || run.cancel.ts === above?.cancel?.ts) return null;
  const by = run.cancel.by === me ? "you" : nameOf(run.cancel.by);
  return <p class="stop-reason"><Glyph name="stop" /><span>{run.status === "cancelled" ? "Stopped" : "Asked to stop"} by {by}: {run.cancel.reason}</span></p>;
}

/** Whether the server's policy asks, about a person's command: agents ask within their runs (ACC-8). */
const isAskedByRule = (item: Ruled): boolean => item.rule !== undefined && item.run === undefined;

/** Who wants what an approval is about. */
export const wantedBy = (item: Ruled): string => (isAskedByRule(item) && item.requester) || item.actor;

/** The rule of the server's policy that has to do with an approval, and why; nothing when there is none. */
export function Rule({ item }: { item: Ruled }) {
  if (item.rule === undefined) return null;
  const effect = isAskedByRule(item) ? "asks for it" : item.default === "approved" ? "lets silence approve it" : "lets agents decide it";
  return <p class="rule">The rule <code>{item.rule}</code> {effect}{item.why ? `: ${item.why}` : "."}</p>;
}
