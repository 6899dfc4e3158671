// Owns the proof beside the claim: counts what really reached the fold, apart from the code that decides what should.

/** What one recovery of a session came to. */
export interface Recovery {
  readonly session: string;
  /** The cursor it went on from, or null for one that began with a snapshot. */
  readonly from: number | null;
  /** The tail when the connection was back. */
  readonly to: number;
  /** Positions written while this reader was away, and how many of them it was given. */
  readonly missed: number;
  readonly received: number;
  /** Positions left out, and given twice. */
  readonly gaps: number;
  readonly repeats: number;
  /** Why a snapshot stood in for the events, or null. */
  readonly snapshot: string | null;
  readonly offlineMs: number | null;
  /** Unix ms at which it had caught up. */
  readonly at: number;
}

/** Counts positions given to one session's fold. */
export class RecoveryCounter {
  last: number | null = null;
  #from: number | null = null;
  #tail = -1; // -1: no recovery under way
  #received = 0;
  #gaps = 0;
  #repeats = 0;
  #snapshot: string | null = null;
  #offlineMs: number | null = null;

  /** The connection is back, at cursor `from`; the log ends at `tail` now. */
  begin(from: number | null, tail: number, offlineMs: number | null): void {
    this.#from = from;
    this.#tail = tail;
    this.#received = this.#gaps = this.#repeats = 0;
    this.#snapshot = null;
    this.#offlineMs = offlineMs;
  }

  /** Whether a recovery is under way. */
  get active(): boolean {
    return this.#tail >= 0;
  }

  /** The connection was lost again. */
  abandon(): void {
    this.#tail = -1;
  }

  /** Positions `first..last` went into the fold. */
  add(first: number, last: number): void {
    const before = this.last ?? first - 1;
    this.#gaps += Math.max(0, first - before - 1);
    this.#repeats += Math.max(0, Math.min(last, before) - first + 1);
    this.#received += Math.max(0, Math.min(last, this.#tail) - Math.max(first, (this.#from ?? 0) + 1) + 1);
    this.last = last;
  }

  /** A snapshot replaced the state. */
  replace(seq: number, reason: string): void {
    this.last = seq;
    this.#snapshot = reason;
  }

  /** Caught up: the report, or null when nothing was under way. */
  end(session: string): Recovery | null {
    if (this.#tail < 0) return null;
    const from = this.#from;
    const to = this.#tail;
    this.#tail = -1;
    return {
      session, from, to, missed: from === null ? 0 : Math.max(0, to - from), received: this.#received,
      gaps: this.#gaps, repeats: this.#repeats, snapshot: this.#snapshot, offlineMs: this.#offlineMs, at: Date.now(),
    };
  }
}
