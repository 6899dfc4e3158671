// Owns the types of the wire: events, the view, and what a server sends (PROTOCOL.md, sections 2 to 6).

/** What a reader has applied: the last event `seq` of this life of the session. */
export interface Cursor {
  incarnation: string;
  seq: number;
}

/** Where to begin to read. */
export type Start = "snapshot" | "tail" | Cursor;

/** One immutable entry of a session's log; `ts` is Unix milliseconds (docs/reference/events.md lists the types). */
export interface SessionEvent {
  seq: number;
  /** Last position covered, on events merged by compaction. */
  to?: number;
  ts: number;
  actor: string;
  type: string;
  data: Record<string, unknown>;
  run?: string;
  attempt?: number;
  /** On text deltas: where the delta starts, in UTF-16 code units (FOLD-3). */
  offset?: number;
}

// --- the view (section 6)
export type TextStatus = "open" | "complete" | "cut";
export type RunStatus = "queued" | "running" | "waiting" | "completed" | "failed" | "cancelled" | "lost";
export type Decision = "approved" | "denied";

interface ItemBase {
  id: string;
  seq: number;
  ts: number;
  actor: string;
  run?: string;
  attempt?: number;
  /** Id of the input message this item answers. */
  turn?: string;
}

export interface Attachment {
  blob: string;
  name?: string;
  media_type?: string;
}

export interface Source {
  sourceId?: string;
  title?: string;
  uri?: string;
  quote?: string;
  score?: number;
}

export interface MessageItem extends ItemBase {
  kind: "message";
  role: string;
  text: string;
  length: number;
  status: TextStatus;
  /** It counts as said also when its attempt was lost. */
  kept?: true;
  name?: string;
  parent?: string;
  edits?: string;
  agent?: string;
  attachments?: { blob: string; name?: string; mediaType?: string }[];
  /** What the sender's program keeps with the message. */
  meta?: Record<string, unknown>;
  sources?: Source[];
}

export interface ReasoningItem extends ItemBase {
  kind: "reasoning";
  text: string;
  length: number;
  status: TextStatus;
  kept?: true;
}

export interface ToolItem extends ItemBase {
  kind: "tool";
  name: string;
  /** The arguments as text: JSON, once the call is complete. */
  args: string;
  length: number;
  status: "open" | "called" | "done" | "cut";
  message?: string;
  /** The newest approval that was asked about this call, as long as it was not made since. */
  approval?: string;
  paused?: string;
  result?: unknown;
  error?: unknown;
  blob?: unknown;
}

export interface StepItem extends ItemBase {
  kind: "step";
  name: string;
  status: TextStatus;
}

export interface ActivityItem extends ItemBase {
  kind: "activity";
  name: string;
  content: unknown;
}

/** `actor` is the asker: the agent that wants to act. */
export interface ApprovalItem extends ItemBase {
  kind: "approval";
  tool: string;
  args: Record<string, unknown>;
  hash: string;
  /** Unix milliseconds: what nobody has decided by then is denied. */
  deadline: number;
  default: Decision;
  status: "pending" | Decision | "expired";
  /** The person whose message led to it. */
  requester?: string;
  /** The approver. */
  by?: string;
  note?: string;
  decision?: Decision;
  /** The tool call it is about. */
  call?: string;
  /** `call`: a program answers it, as a page answers calls to tools in the browser. Absent: a person decides. */
  purpose?: "call";
  /** The rule of the server's policy that asks for it, or lets silence approve, and why. */
  rule?: string;
  why?: string;
}

export interface SteerItem extends ItemBase {
  kind: "steer";
  text: string;
  status: "pending" | "delivered" | "dropped";
}

export type Item = MessageItem | ReasoningItem | ToolItem | StepItem | ActivityItem | ApprovalItem | SteerItem;

export interface RunState {
  id: string;
  seq: number;
  agent: string;
  status: RunStatus;
  attempt: number;
  attempts: number;
  version: number;
  queued_ts: number;
  by: string;
  name?: string;
  input?: string;
  parent?: string;
  after?: string;
  worker?: string;
  started_ts?: number;
  ended_ts?: number;
  error?: { code: string; message: string };
  cancel?: { by: string; ts: number; delivered: boolean; effective: boolean; force: boolean; reason?: string };
  losses?: { attempt: number; reason: string; ts: number }[];
}

/** A view as plain JSON: what a snapshot carries. */
export interface ViewData {
  fold: number;
  title: string;
  agent: string;
  meta: Record<string, unknown>;
  state: unknown;
  items: Item[];
  runs: Record<string, RunState>;
  branch: { head: string | null; runs: Record<string, string>; version: number };
  handoff: { by: string; ts: number } | null;
  /** Number of the newest page of history; 0 when there is none. */
  older: number;
}

/** One page of older items (SUB-5); `older` is the number of the page before, 0 for none. */
export interface HistoryPage {
  page: { items: Item[]; runs: Record<string, RunState> };
  older: number;
}

/** Somebody who is in a session now. */
export interface PresenceEntry {
  actor: string;
  surface: string;
  device: string;
  connection: string;
  doing: Record<string, unknown>;
  since_ms: number;
}

/** One session in the watched list (docs/reference/frames.md). */
export interface SessionRow {
  session: string;
  title: string;
  incarnation: string;
  tail: number;
  created_ms: number;
  active_ms: number;
  read: number;
  /** Whether something came after what the person has seen. */
  unread: boolean;
  card: {
    agent?: string;
    labels?: Record<string, string>;
    people?: string[];
    queued?: number;
    running?: number;
    waiting?: number;
    approvals?: number;
    run?: RunStatus;
    last?: { actor: string; text: string };
    taken_by?: string;
  };
}

// --- messages (sections 3 and 4)
export type SnapshotReason = "start" | "reset" | "slow";

export interface Welcome {
  op: "welcome";
  principal: string;
  tenant: string;
  expires_ms?: number | null;
  connection: string;
  limits: Record<string, unknown>;
  /** The server's time, ISO 8601, where it and all that happened by it is made up: a page says so. */
  simulated?: string;
  /** Names of what plugs into the server: who asks its routes looks here first, and asks nothing where it is not. */
  extensions?: string[];
}

export type SessionMessage =
  | ({ op: "snapshot"; session: string; view: ViewData; reason?: SnapshotReason } & Cursor)
  | { op: "events"; session: string; from: number; to: number; events: SessionEvent[] }
  | { op: "skip"; session: string; from: number; to: number }
  | ({ op: "live"; session: string } & Cursor)
  | { op: "closed"; session: string; code: string }
  | { op: "presence"; session: string; here: PresenceEntry[] };

/** The result of an operation: the fields of its `ok` (docs/reference/operations.md). */
export type OpResult = Record<string, unknown>;

export type ServerMessage =
  | Welcome
  | SessionMessage
  | { op: "ok"; id: number; [field: string]: unknown }
  | { op: "error"; id?: number; error: import("./errors.js").WireError }
  | { op: "sessions"; rows?: SessionRow[]; removed?: string[] }
  | { op: "goaway"; reason?: string; retry_after_s?: number };

/** An operation a client asks for. */
export interface Op {
  op: string;
  session?: string;
  key?: string;
  [field: string]: unknown;
}
