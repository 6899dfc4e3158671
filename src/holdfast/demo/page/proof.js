// Proof beside the claim: counts what really reached the fold, apart from the code that decides what should.

/** Positions given to one session's fold, and what the last recovery came to. */
export class Proof {
  constructor() {
    this.last = null; // last position seen; null before the first
    this.resumed = null; // the recovery under way
    this.lines = []; // finished recoveries, newest first
    this.totals = { events: 0, frames: 0, bytes: 0 };
  }

  /** The connection is back, at cursor `from`; the log now ends at `tail`. */
  begin(from, tail, offlineMs) {
    this.resumed = { from, tail, offlineMs, received: 0, gaps: 0, repeats: 0, snapshot: null };
  }

  /** Positions `first..last` went into the fold. */
  took(first, last) {
    const now = this.resumed;
    const before = this.last ?? first - 1;
    if (now !== null) {
      now.gaps += Math.max(0, first - before - 1);
      now.repeats += Math.max(0, Math.min(last, before) - first + 1);
      now.received += Math.max(0, Math.min(last, now.tail) - Math.max(first, now.from + 1) + 1);
    }
    this.last = last;
    this.totals.events += 1;
  }

  /** A snapshot replaced the state. */
  jumped(seq, reason) {
    this.last = seq;
    if (this.resumed !== null) this.resumed.snapshot = { seq, reason };
  }

  /** Caught up: finish the line. Returns it, or null when nothing was under way. */
  end(now = Date.now()) {
    const done = this.resumed;
    this.resumed = null;
    if (done === null) return null;
    const line = { at: now, text: describe(done), exact: done.gaps === 0 && done.repeats === 0, ...done };
    this.lines.unshift(line);
    this.lines.length = Math.min(this.lines.length, 5);
    return line;
  }
}

function describe({ from, tail, received, gaps, repeats, snapshot }) {
  const counted = `${plural(gaps, "gap")} · ${plural(repeats, "repeat")}`;
  if (from === null) return `joined at ${snapshot?.seq ?? tail} by snapshot · ${counted}`;
  if (snapshot !== null) return `left at ${from}, back at ${snapshot.seq} by snapshot (${snapshot.reason}) · ${counted}`;
  return `resumed at ${from} · ${Math.max(0, tail - from)} missed, ${received} received · ${counted}`;
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
