// Owns what the routes of the plan answer, as types. Times are Unix ms; amounts decimal text or nano-USD, as a name says.

export type Verdict = "pass" | "fail" | "unknown" | "not_applicable";
/** What is shown of a gate: its verdict, or that somebody waived it. */
export type Shown = Verdict | "waived";
export type DoorName = "L" | "P" | "O" | "R";

/** How a gate stands (`rollout/doors.py`). */
export interface GateStatus {
  gate: string;
  workflow: string;
  verdict: Verdict;
  shown: Shown;
  /** Of an unknown: `unbuilt` where nobody has built the gate yet. */
  cause: string;
  n: number;
  reason: string;
  fix: string;
  as_of_ms: number;
  valid_until_ms: number;
  /** An earlier verdict that stands while its sources are down. */
  standing: boolean;
  verdict_id: string;
  since_ms: number;
  waiver: string;
  former: string;
}

export interface DoorStatus { door: DoorName; open: boolean; shut_by: string[]; unknown: string[] }

/** Where a workflow is on its way (`rollout/progress.py`); `expected_ms` null is not known. */
export interface Progress { step: number; since_ms: number; days: number; holder: string; expected_ms: number | null }

export interface WorkflowPlan {
  workflow: string;
  state: string;
  mode: "observe" | "enforce";
  stage: string;
  owner: string;
  deputy: string;
  sponsor: string;
  payer: string;
  next_door: DoorName;
  sentence: string;
  doors: DoorStatus[];
  gates: GateStatus[];
  missing: string[];
  progress: Progress;
}

export interface GateFacts { gate: string; step: number; title: string; holds: DoorName[]; span: "workflow" | "organisation"; built: boolean; effect: string }

export interface PlanStatus {
  zone: string;
  as_of_ms: number;
  profile: { base: string; version: number };
  workflows: WorkflowPlan[];
  steps: { step: number; title: string }[];
  gates: GateFacts[];
}

/** Something that somebody has to do (`rollout/critical_path.py`). */
export interface NextAction { gate: string; what: string; why: string; who: string; workflows: string[]; opens: string[]; stopped: string[]; effect: string; due_ms: number }

export type Standing = "fail" | "unknown" | "pass";

export interface GateFlip { gate: string; title: string; workflow: string; before: Verdict; after: Verdict; at_ms: number; reason: string }

export interface PlanWaiver {
  id: string;
  gate: string;
  workflow: string;
  by: string;
  office: "sponsor" | "risk";
  reason: string;
  at_ms: number;
  until_ms: number;
  renews: string;
  ended_ms: number | null;
  ended_by: string;
}

export interface WaiverLine { waiver: PlanWaiver; left_ms: number }

/** The Monday page (`rollout/monday.py`). */
export interface MondayFacts {
  as_of_ms: number;
  since_ms: number;
  zone: string;
  people: { who: string; due_ms: number; actions: NextAction[] }[];
  workflows: { workflow: string; stands: Standing; sentence: string; owner: string; state: string; mode: string }[];
  flips: GateFlip[];
  past: WaiverLine[];
  waived: WaiverLine[];
  gates: number;
  unbuilt: string[];
  cautions: { name: string; state: "seen" | "clear" | "unknown"; text: string; workflows: string[] }[];
}

/** What a query answered (`rollout/model.py`); `sql` is empty for evidence that no single query gives. */
export interface EvidenceAnswer {
  query: string;
  params: Record<string, number | string>;
  rows: Record<string, number | string | null>[];
  positions: Record<string, number | string>;
  digest: string;
  cut: boolean;
  sql: string;
  /** `rollout/behind.py`: where what it counts is listed; the page of each row, "" for none, and nothing where that is the page of all. */
  behind: { all: EvidenceDoor | null; rows: string[] };
}

export interface EvidenceDoor {
  what: "runs" | "rows" | "outcomes" | "budgets" | "inbox" | "evidence";
  page: string;
  command: string;
  /** How the list differs from what was counted. */
  note: string;
}

export interface PastVerdict { verdict: Verdict; reason: string; computed_ms: number; n: number }

/** A gate's verdict with what it stands on. */
export interface Explained {
  status: GateStatus;
  verdict: { id: string; profile: string; version: number; thresholds: Record<string, number | string>; evidence: string; computed_ms: number } | null;
  evidence: EvidenceAnswer[];
  beside: string;
  who: string;
  history: PastVerdict[];
}
