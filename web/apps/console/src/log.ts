// Owns the whole log of one session in the page: read page by page, kept up to date, folded to any position.

import { type Session, type SessionEvent, View } from "holdfast-ai";
import { apply } from "holdfast-ai/fold";

import type { Console } from "./console.js";

const CHECKPOINT_EVENTS = 500; // events between two checkpoints
const MAX_EVENTS = 200_000; // events in memory; the console says so beyond that

interface Page {
  incarnation: string;
  tail: number;
  frames: ({ op: "events"; events: SessionEvent[]; to: number } | { op: "skip"; to: number })[];
}

/** Every event of a session that this token may read. Fires `change`. */
export class Log extends EventTarget {
  events: SessionEvent[] = [];
  /** Position up to which the log was read. */
  seq = 0;
  tail = 0;
  /** There is more than the page holds. */
  truncated = false;
  #checkpoints: { at: number; view: string }[] = []; // views of the first `at` events
  #closed = false;

  constructor(readonly operator: Console, readonly session: Session) {
    super();
    void this.#read();
  }

  close(): void {
    this.#closed = true;
  }

  /** Read on until the tail, then whenever the session has grown. */
  async #read(): Promise<void> {
    while (!this.#closed) {
      try {
        const page = await this.operator.request<Page>(`sessions/${encodeURIComponent(this.session.id)}/events?after=${this.seq}`);
        this.tail = page.tail;
        for (const frame of page.frames) {
          if (frame.op === "events") this.events.push(...frame.events.filter((event) => (event.to ?? event.seq) > this.seq));
          this.seq = Math.max(this.seq, frame.to);
        }
        this.truncated = this.events.length > MAX_EVENTS;
        this.dispatchEvent(new Event("change"));
      } catch { // away, or compacted under us: asked again below
      }
      if (this.truncated) return;
      if (this.seq >= this.tail) await this.#waitForGrowth();
    }
  }

  #waitForGrowth(): Promise<void> {
    return new Promise((resolve) => {
      const end = this.session.on("change", () => {
        if (this.session.tail <= this.seq && !this.#closed) return;
        clearInterval(timer);
        end();
        setTimeout(resolve, 100); // what comes together is asked for together
      });
      const timer = setInterval(() => this.session.tail > this.seq && this.session.dispatchEvent(new Event("change")), 1_000);
    });
  }

  /** How many events lie at or before a position. */
  countTo(seq: number): number {
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.events[middle]!.seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The view as it was after the first `count` events. */
  foldTo(count: number): View {
    const from = this.#checkpoints.findLast(({ at }) => at <= count);
    const view = from ? View.load(JSON.parse(from.view)) : new View();
    for (let at = from?.at ?? 0; at < count; at++) {
      apply(view, this.events[at]!);
      if ((at + 1) % CHECKPOINT_EVENTS === 0 && (this.#checkpoints.at(-1)?.at ?? 0) < at + 1) this.#checkpoints.push({ at: at + 1, view: JSON.stringify(view.export()) });
    }
    return view;
  }
}
