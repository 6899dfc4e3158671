// Owns what a run needs of its session, so that neither imports the other.

import type { Cursor, HistoryPage } from "./protocol.js";
import type { CancelOptions, WriteOptions } from "./session-options.js";
import type { View } from "./view.js";

/** A session, to a run in it. */
export interface SessionPort {
  readonly view: View;
  readonly cursor: Cursor | null;
  until(condition?: (view: View) => boolean): Promise<View>;
  state(): Promise<View>;
  history(page: number): Promise<HistoryPage>;
  cancel(options?: CancelOptions): Promise<string[]>;
  steer(run: string, text: string, options?: WriteOptions): Promise<string>;
}

/** A run, to whoever looks for its outcome. */
export interface RunReference {
  readonly session: SessionPort;
  readonly id: string;
  /** A position at or after the one that queued it. */
  readonly seq: number;
}
