// Owns what the routes of operations answer, as types (`operations/model.py`). Times are Unix ms; amounts decimal text.

export interface StopOrder {
  id: string;
  scope: "workflow" | "agent" | "model" | "tool" | "everything";
  subject: string;
  reason: string;
  by: string;
  at_ms: number;
  grace_ms: number;
  state: "stopping" | "stopped" | "lifted";
  done_ms: number | null;
  lifted_ms: number | null;
  lifted_by: string;
  lifted_reason: string;
  refused: number;
  calls: number;
  incident: string;
}

export interface StopPreview { scope: string; subject: string; known: boolean; running: number; queued: number; waiting: number; sessions: number; people: number; calls: number }

export interface StopReceipt { stop: StopOrder; running: number; queued: number; waiting: number; forced: number; left: number; sessions: number; people: number; took_ms: number | null }

export interface Incident {
  id: string;
  workflow: string;
  from_ms: number;
  by: string;
  at_ms: number;
  notes: string;
  stop: string;
  to_ms: number | null;
  stopped_ms: number | null;
  sessions: number;
  people: number;
  outputs: number;
  /** Null where some of it has no price. */
  cost_usd: string | null;
}
