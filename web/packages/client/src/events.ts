// Owns reading a session event by event.

import type { HoldfastError } from "./errors.js";
import { type Feed, FeedReader, type Snapshot } from "./feed.js";
import type { Cursor, SessionEvent, Start } from "./protocol.js";

const READ_AHEAD = 1 << 20; // characters received for a reader that does not read

/**
 * An async iterator over a session: each event once, in order, without a gap, whatever happens to connections.
 *
 * It yields events, and a `Snapshot` (told by `"view" in item`) at the start if that was asked for, and wherever the log
 * can no longer be read on (SUB-3). It ends when it is closed, and throws when the session cannot be read any more.
 */
export class Events extends FeedReader implements AsyncIterableIterator<SessionEvent | Snapshot> {
  readonly #feed: Feed;
  #queue: { item: SessionEvent | Snapshot; cursor: Cursor }[] = [];
  #queued = 0;
  #wake = () => {};
  #closed = false;
  #error: HoldfastError | null = null;
  /** The position after the last item yielded: store it, and give it to `events(after)` later. */
  cursor: Cursor | null;

  constructor(feed: Feed, start: Start) {
    super(start);
    this.cursor = typeof start === "string" ? null : start;
    this.#feed = feed;
    feed.add(this);
  }

  /** Stop reading. */
  close(): void {
    this.#closed = true;
    this.#feed.remove(this);
    this.#wake();
  }

  // --- from the feed
  override event(event: SessionEvent, size: number): boolean {
    this.#enqueue(event, event.to ?? event.seq, size);
    return true;
  }

  override snapshot(snapshot: Snapshot, size: number): void {
    this.#queue = []; // the snapshot holds the effect of what was not read yet
    this.#queued = 0;
    this.#enqueue(snapshot, snapshot.seq, size);
  }

  override caughtUp(): void {
    this.cursor ??= { incarnation: this.incarnation, seq: this.seq }; // a reader from the tail, before its first event
  }

  override fail(error: HoldfastError): void {
    this.#error = error;
    this.#wake();
  }

  #enqueue(item: SessionEvent | Snapshot, seq: number, size: number): void {
    this.#queue.push({ item, cursor: { incarnation: this.incarnation, seq } });
    this.#queued += size;
    this.lagging = this.#queued > READ_AHEAD;
    this.#wake();
  }

  // --- to the application
  async next(): Promise<IteratorResult<SessionEvent | Snapshot, undefined>> {
    while (!this.#closed) {
      const next = this.#queue.shift();
      if (next) {
        this.cursor = next.cursor;
        if (!this.#queue.length) {
          this.#queued = 0;
          if (this.lagging) this.#feed.resume(this);
        }
        return { done: false, value: next.item };
      }
      if (this.#error) throw this.#error;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
