// Owns how a run's state is shown: a glyph and a word, never colour alone.

import { Glyph } from "./glyph.js";

/** The state of a run in a person's words. */
export const STATE_LABELS: Record<string, string> = {
  queued: "queued", running: "running", waiting: "waiting for you", completed: "completed", failed: "failed",
  cancelled: "stopped", lost: "lost", stopping: "stopping",
};

/** `status` of a run, or `stopping` while a cancel is under way. */
export function StateBadge({ status }: { status: string }) {
  return (
    <span class="state" data-status={status}>
      <span class="icon"><Glyph name={status === "stopping" ? "cancelled" : status} /></span>
      <span class="word">{STATE_LABELS[status] ?? status}</span>
    </span>
  );
}
