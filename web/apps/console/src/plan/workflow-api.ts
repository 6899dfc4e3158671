// Owns what the routes of workflows and of the inbox answer, as types. Times are Unix ms; amounts decimal text.

/** `workflows/blast.py`. */
export interface BlastRadius {
  workflow: string;
  version: string;
  tools: { tool: string; effect: "read" | "write" | "memory"; classed: boolean; declared: boolean; limit: string; calls: number }[];
  data_class: string;
  sources: string[];
  spend_usd: string | null;
  unpriced: number;
  runs: number;
  days: number;
  sentence: string;
}

export interface WorkflowShown {
  workflow: { workflow: string; version: string; state: string; unit: string; owner: string; deputy: string; since_ms: number };
  manifest: Record<string, unknown> | null;
  acceptances: { role: "owner" | "deputy"; person: string; at_ms: number }[];
  steps: { id: string; what: string; before: string; after: string; by: string; at_ms: number; reason: string }[];
  blast: BlastRadius;
  /** Where the organisation says otherwise. */
  elsewhere: string[];
}

export interface ManifestVersion { workflow: string; version: string; manifest: Record<string, unknown>; by: string; at_ms: number }

/** `workflows/what_changed.py`. */
export interface WorkflowChanges {
  since_ms: number;
  changes: { area: string; what: string; before: string; after: string; at_ms: number; by: string }[];
  unknown: string[];
}

/** `workflows/inventory.py`. */
export interface SeenLine { kind: "caller" | "key" | "label" | "model" | "agent" | "bill"; name: string; detail: string; calls: number; spend_usd: string | null; last_ms: number | null; next: string }

/** `workflows/run_record.py`, with the name of its session; "" for one that was deleted. */
export interface JournalRun {
  id: string;
  session: string;
  session_name: string;
  run: string;
  parent: string;
  workflow: string;
  agent: string;
  actor: string;
  version: string;
  usage: string;
  interactive: boolean;
  test: boolean;
  queued_ms: number;
  status: string;
  tools: number;
  side_effects: number;
  unclassified: number;
  memory: number;
  counted: boolean;
  lost: boolean;
}

export interface JournalPage { runs: JournalRun[]; more: boolean; next: string }

/** `workflows/triage.py`. */
export interface Idea {
  id: string;
  name: string;
  title: string;
  by: string;
  at_ms: number;
  state: "new" | "registered";
  workflow: string;
  triage: { verdict: "suits" | "suits_with_gaps" | "does_not_suit_yet"; failing: string[]; open: string[]; expired: string[]; risk: string; data: string; value: string; warnings: string[]; sentence: string };
}

/** `inbox/model.py`. */
export interface InboxItem {
  id: string;
  key: string;
  kind: string;
  workflow: string;
  role: string;
  person: string;
  sponsor: string;
  title: string;
  why: string;
  what: string;
  link: string;
  severity: "high" | "normal" | "low";
  stops: boolean;
  minutes: number;
  opened_ms: number;
  due_ms: number;
  seen_ms: number;
  done_ms: number;
  closed_ms: number | null;
  in_time: boolean | null;
  reopened: number;
}

export interface InboxPageFacts { items: InboxItem[]; more: number; failures: Record<string, string> }

export interface RoleBrief { load: { workflow: string; needed_minutes: number; allotted_minutes: number; kinds: { kind: string; items: number; minutes: number; measured: number }[] }; short_minutes: number; brief: string }
