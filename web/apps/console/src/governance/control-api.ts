// Owns what the routes of budgets, routing and outcomes answer, as types. Amounts are nano-USD where a name says so, else decimal text.

/** `budgets/model.py`. */
export interface BudgetFacts {
  id: string;
  name: string;
  scope: Record<string, string>;
  each: string;
  cap_nano: number;
  span: "day" | "week" | "month" | "quarter" | "year" | "rolling" | "total";
  rolling_s: number;
  zone: string;
  strength: "hard" | "soft";
  mode: "observe" | "enforce";
  payer: string;
  decider: string;
  approved: boolean;
  approved_by: string;
  alerts: number[];
  set_by: string;
  set_ms: number;
  ended_ms: number | null;
  level: string;
}

/** Where the rows of a figure are found; `exact` is false where they are more than the figure counts. */
export interface RowsOf { since: string; until: string; where: string[]; exact: boolean }

export interface Account {
  budget: BudgetFacts;
  subject: string;
  opens_ms: number;
  closes_ms: number | null;
  spent_nano: number;
  reserved_nano: number;
  attempts: number;
  free_nano: number;
  stranded_ppm: number | null;
  refused: number;
  observed: number;
  rows: RowsOf;
}

export interface BudgetList { accounts: Account[]; now_ms: number }

export interface BudgetChange { id: string; what: string; by: string; at_ms: number; before: BudgetFacts | null; after: BudgetFacts | null }

export interface BudgetShown { budget: BudgetFacts; accounts: Account[]; changes: BudgetChange[]; now_ms: number }

export interface RaiseRequest {
  id: string;
  budget: string;
  name: string;
  payer?: string;
  decider?: string;
  from_nano: number;
  to_nano: number;
  by: string;
  why: string;
  at_ms: number;
  call: string;
  session: string;
  run: string;
  until_ms: number | null;
  state: "waiting" | "approved" | "denied" | "withdrawn";
  decided_by: string;
  decided_ms: number;
  note: string;
}

export interface Refusal {
  id: string;
  at_ms: number;
  budget: string;
  name: string;
  subject: string;
  call: string;
  workflow: string;
  mode: "observe" | "enforce";
  in_stream: boolean;
  reason: string;
  need_nano: number;
  cap_nano: number;
  spent_nano: number;
  reserved_nano: number;
  waited_ms: number;
  false: boolean | null;
}

export interface RefusalReason { reason: string; mode: "observe" | "enforce"; refused: number; false: number; unknown: number }

export interface Refusals { reasons: RefusalReason[]; refusals: Refusal[] }

export interface BudgetAlert { id: string; budget: string; subject: string; kind: string; at_ms: number; text: string; sent: Record<string, { state: string; tries: number; why: string }> }

export interface Reservation { budget: string; name: string; subject: string; attempt: string; nano: number; output_tokens: number; at_ms: number }

/** `budgets/forecast.py`. */
export interface BudgetForecast {
  account: Omit<Account, "rows">;
  first_day: string;
  today: string;
  unknown: string;
  days: number;
  left_days: number;
  p10_nano: number | null;
  p50_nano: number | null;
  p90_nano: number | null;
  naive_nano: number | null;
  over_ppm: number | null;
  fan: [p10: number, p50: number, p90: number][];
  back_test: { n: number; separate: number; horizon_days: number; inside: number; error_ppm: number | null; naive_error_ppm: number | null } | null;
}

/** `routing/report.py`. */
export interface ModelRow {
  workflow: string;
  task: string;
  model: string;
  n: number;
  accepted: number;
  rejected: number;
  escalated: number;
  at_least: number;
  each_usd: string | null;
  accepted_usd: string | null;
  value_usd: string;
}

export interface PeelRow {
  workflow: string;
  task: string;
  incumbent: string;
  cheaper: string;
  floor: number;
  n: number;
  accepted: number;
  confidence: number | null;
  clears: boolean;
  saves_usd: string;
  saved_usd: string;
}

export interface RoutingReport { models: ModelRow[]; peels: PeelRow[] }

/** `routing/experiment.py`. */
export interface RouteDecision {
  id: string;
  at_ms: number;
  call: string;
  workflow: string;
  task: string;
  route: string;
  asked: string;
  model: string;
  kind: string;
  reason: string;
  propensity: number;
  experiment: string;
  shadow: string;
  served: string;
  other: boolean;
  fell_back: boolean;
  refused: boolean;
}

export interface Experiment {
  id: string;
  name: string;
  plan: { route: string; cheap: string; incumbent: string; floor: number; margin: number; error: number; share: number; shadow_share: number; shadows: number; most: number };
  state: "shadow" | "share" | "kept" | "returned" | "stopped";
  why: string;
  by: string;
  since_ms: number;
  answered: number;
  failed: number;
  same: number;
  compared: number;
  outcomes: number;
  accepted: number;
  steps: { id: string; before: string; after: string; why: string; by: string; at_ms: number }[];
}

export interface RoutingDocument {
  document: {
    routes: { name: string; workflow: string; task: string; candidates: string[]; incumbent: string; floor: number }[];
    rules: { name: string; when: Record<string, string>; why: string; regions: string[]; terms: string[]; upstreams: string[]; models: string[] }[];
  };
  versions: { version: number; by: string; at_ms: number }[];
}

/** `outcomes/model.py`. */
export interface Outcome {
  id: string;
  call: string;
  session: string;
  session_name: string;
  run: string;
  verdict: "accepted" | "rejected" | "escalated";
  by: string;
  kind: "person" | "check" | "system";
  at_ms: number;
  counts: boolean;
  workflow: string;
  task: string;
  model: string;
  value_usd: string | null;
  cost_usd: string | null;
}

export interface Together { n: number; phi: number | null }
