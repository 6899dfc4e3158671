// Owns the options of the calls of a session.

import type { RequestOptions } from "./connection.js";
import type { Attachment } from "./protocol.js";

/** Of every call that writes. */
export interface WriteOptions extends RequestOptions {
  /** Makes a retry safe: the same key with the same content is done once. Random unless given. */
  key?: string;
  /** The life of the session that is meant (LIFE-1): the one that is read here, unless it was read elsewhere. */
  incarnation?: string;
}

export interface SendOptions extends WriteOptions {
  /** Whom it is for, when not the session's own agent. */
  agent?: string;
  /** The input this replaces, on a new branch (CTL-7). */
  edits?: string;
  /** The input it continues. */
  parent?: string;
  /** The run that answered `parent`, where another one is shown. */
  answer?: string;
  attachments?: Attachment[];
  /** What your program keeps with the message: up to 64 KiB of JSON. */
  meta?: Record<string, unknown>;
  /** How often the run may be tried; 3 unless said otherwise. */
  attempts?: number;
  /** Do not wait for other runs of the agent in this session. */
  concurrent?: boolean;
  /** Only say it; no run. */
  silent?: boolean;
}

export interface InterruptOptions extends WriteOptions {
  run?: string;
  agent?: string;
  force?: boolean;
}

export interface CancelOptions extends WriteOptions {
  run?: string;
  /** The run of an input, even before it exists. */
  input?: string;
  /** Without a run or an input: my runs (the default), or all. */
  scope?: "mine" | "all";
  /** End it at once, without any grace. */
  force?: boolean;
  /** The run's version as it was seen. */
  version?: number;
  /** Why, for everybody who watches; at most 500 characters. */
  reason?: string;
}

export interface ResolveOptions extends WriteOptions {
  note?: string;
  /** Which action the person was shown: its `hash`. */
  hash?: string;
}
