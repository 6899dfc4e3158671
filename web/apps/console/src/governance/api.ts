// Owns what the server's governance routes answer, as types. Amounts are nano-USD; days are dates in the organisation's zone.

/** Sums over rows (`ledger/spend.py`). */
export interface Figures {
  rows: number;
  /** Rows whose cost is not known; no sum of money counts them. */
  unpriced: number;
  /** Rows whose provider said nothing of usage. */
  estimated: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  reasoning_tokens: number;
  list_nano: number;
  contracted_nano: number;
  effective_nano: number;
  billed_nano: number;
}

export interface SpendGroup {
  values: string[];
  bucket: string;
  figures: Figures;
  /** All groups beyond the largest. */
  rest: boolean;
}

export interface Spend {
  groups: SpendGroup[];
  total: Figures;
}

export type Basis = "exact" | "estimated" | "imported" | "corrected";

/** One row of the ledger (`ledger/model.py`). */
export interface LedgerRow {
  id: string;
  parent: string;
  call: string;
  number: number;
  kind: string;
  source: string;
  basis: Basis;
  corrects: string;
  at_ms: number;
  day: string;
  team: string;
  workflow: string;
  task: string;
  person: string;
  cost_centre: string;
  usage: string;
  key: string;
  session: string;
  run: string;
  run_attempt: number;
  parent_run: string;
  agent: string;
  upstream: string;
  provider: string;
  asked: string;
  model: string;
  tier: string;
  region: string;
  counts: Record<string, number>;
  raw: Record<string, unknown>;
  price: string;
  catalogue: string;
  card: string;
  waiver: string;
  list_nano: number | null;
  contracted_nano: number | null;
  effective_nano: number | null;
  billed_nano: number | null;
  parts: Record<string, number>;
  unpriced: string[];
  outcome: string;
  reason: string;
  took_ms: number;
  first_ms: number | null;
  tags: Record<string, string>;
}

export interface RowPage {
  rows: LedgerRow[];
  /** Where the next page begins; empty when there is none. */
  next: string;
}

export interface Effects { price: number; volume: number; mix: number; cache: number }

export interface GroupChange { name: string; before_nano: number; after_nano: number; effects: Effects; unpriced: number }

/** `ledger/bills/variance/model.py`. */
export interface Variance {
  before_nano: number;
  after_nano: number;
  effects: Effects;
  groups: GroupChange[];
  new: string[];
  gone: string[];
  unpriced: number;
  definition: string;
}

export interface BillCell {
  day: string;
  model: string;
  key: string;
  bill_nano: number | null;
  ledger_nano: number | null;
  shares: { cause: string; amount_nano: number }[];
  rows: number;
  estimated: number;
}

export interface BillFinding {
  cause: string;
  amount_nano: number;
  net_nano: number;
  what: string;
  fix: string;
  certain: boolean;
  blocks: boolean;
  cells: number;
  where: [day: string, model: string, key: string][];
}

/** `ledger/bills/compare/model.py`. */
export interface BillAnswer {
  reconciliation: {
    provider: string;
    bill_nano: number;
    ledger_nano: number;
    gap_nano: number;
    named_nano: number;
    catch_all_nano: number;
    remainder: Record<string, number>;
    cells: BillCell[];
    findings: BillFinding[];
    settlements: { row: string; was_nano: number; amount_nano: number; day: string; model: string }[];
    verdict: "pass" | "fail" | "unknown";
    reasons: string[];
  };
  /** Share of the bill that the ledger explains, in millionths; null without a bill. */
  explained_ppm: number | null;
  by_day: { day: string; bill_nano: number; ledger_nano: number; causes: Record<string, number> }[];
  meaning: Record<string, string>;
}

export interface SessionWaste { session: string; amount_nano: number; rows: number; note: string }

export interface WasteItem {
  kind: string;
  /** Null where nothing can be said. */
  amount_nano: number | null;
  rows: number;
  unknown_nano: number;
  why: string;
  parts: Record<string, number>;
  sessions: SessionWaste[];
  definition: string;
}

/** `ledger/bills/waste/model.py`. */
export interface WasteAnswer {
  waste: {
    cost_nano: number;
    any_nano: number;
    items: WasteItem[];
    tenths: {
      workflow: string; task: string; sessions: number; tenth: number; cost_nano: number; tenth_nano: number; judged: number;
      accepted: number | null; tenth_accepted: number | null; examples: SessionWaste[]; withheld: string;
    }[];
    unpriced: number;
  };
  by_day: { days: string[]; kinds: Record<string, number[]> };
}

/** A key without its secret (`keys/model.py`). */
export interface KeyRow {
  id: string;
  name: string;
  labels: Record<string, string>;
  models: string[];
  agents: string[];
  session: string;
  sessions: string;
  adopted: boolean;
  state: "active" | "expired" | "revoked";
  created_ms: number;
  created_by: string;
  expires_ms: number;
  used_ms: number | null;
  revoked_ms: number | null;
  revoked_by: string;
  secrets: { id: string; expires_ms: number }[];
}

export interface UnknownCaller { fingerprint: string; agent: string; calls: number; first_ms: number; last_ms: number; paths: string[] }

/** `pricing/changes.py`. */
export interface PriceChange {
  id: string;
  kind: string;
  document: Record<string, unknown>;
  why: string;
  by: string;
  proposed_ms: number;
  state: "proposed" | "approved" | "rejected";
  decided_by: string;
  decided_ms: number | null;
  words: string;
  alone: boolean;
}

export interface PriceDiff {
  lines: { provider: string; model: string; tier: string; name: string; before: string; after: string; used: boolean }[];
  count: number;
  models: number;
  effects: { provider: string; upstream: string; model: string; requests: number; before_nano: number | null; after_nano: number | null }[];
  before_nano: number;
  after_nano: number;
  unknown: number;
}

export interface Waiver { id: string; model: string; provider: string; workflow: string; why: string; by: string; until_ms: number }

export interface OrganisationDay {
  /** Today, in the organisation's zone. */
  day: string;
  name: string;
  time_zone: string;
  currency: string;
  units: { kind: string; name: string; title: string; team: string }[];
}

export interface WorkflowRow { name: string; owner: string; deputy: string; stage: string; declared: boolean; first_ms: number; last_ms: number }

const ROOT = "x/governance";

/** A route of governance, below `/v1`; a name may stand there several times. */
export function routeOf(path: string, query: readonly (readonly [name: string, value: string])[] = []): string {
  const search = new URLSearchParams(query.filter(([, value]) => value !== "").map(([name, value]) => [name, value])).toString();
  return `${ROOT}/${path}${search && `?${search}`}`;
}
