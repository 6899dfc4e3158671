// Owns one session's subscription on the wire, shared by every reader of that session in this client. Each reader keeps
// its own cursor; the feed subscribes from the least of them and every reader takes exactly what follows its own
// (SUB-2). Whenever something does not fit (a lost connection, a gap, a bad join, a reader that lagged) the answer is
// the same: subscribe again from the cursors. The twin of src/holdfast/client/feed.py.

import { delayMs } from "./backoff.js";
import type { Connection } from "./connection.js";
import { HoldfastError } from "./errors.js";
import type { Cursor, OpResult, SessionEvent, SessionMessage, Start, ViewData } from "./protocol.js";

/** The folded state after event `seq`; it replaces all a reader had. */
export interface Snapshot extends Cursor {
  type: "snapshot";
  view: ViewData;
  reason: string;
}

/** A position in a session that advances event by event. Subclasses say what happens with each. */
export abstract class FeedReader {
  needs: "snapshot" | "tail" | null = null;
  incarnation = "";
  seq = 0;
  /** It does not read as fast as events come: it is left out until it has read what it has (SUB-4). */
  lagging = false;

  constructor(start: Start) {
    this.begin(start);
  }

  begin(start: Start): void {
    if (typeof start === "string") {
      this.needs = start;
    } else {
      this.needs = null;
      this.incarnation = start.incarnation;
      this.seq = start.seq;
    }
  }

  /** The next event, in a message of `size` characters. False: it does not join; a snapshot is needed. */
  abstract event(event: SessionEvent, size: number): boolean;
  abstract snapshot(snapshot: Snapshot, size: number): void;
  /** Positions that are not for this reader. */
  skip(_from: number, _to: number): void {}
  /** A subscription to a life of the session began: events up to `tail` were there already. */
  subscribed(_tail: number, _incarnation: string): void {}
  /** Every event up to the tail was delivered. */
  caughtUp(): void {}
  /** The connection was lost; a new one follows. */
  disconnected(): void {}
  /** The session cannot be read any more. */
  abstract fail(error: HoldfastError): void;
}

export class Feed {
  readonly #connection: Connection;
  readonly #session: string;
  readonly #readers = new Set<FeedReader>();
  #subscribeId = 0; // number of the newest subscribe; answers to older ones mean nothing
  #open = false; // whether the newest subscribe was answered: only then messages count
  #tail = 0;
  #lastGap = ""; // where a gap was met last
  #failures = 0;

  constructor(connection: Connection, session: string) {
    this.#connection = connection;
    this.#session = session;
  }

  get tail(): number {
    return this.#tail;
  }

  // --- readers come and go
  add(reader: FeedReader): void {
    this.#readers.add(reader);
    this.subscribe();
  }

  remove(reader: FeedReader): void {
    if (this.#readers.delete(reader) && !this.#active().length) this.#unsubscribe();
  }

  /** A reader needs another start than it had, or has read what made it lag. */
  resume(reader: FeedReader, start?: Start): void {
    reader.lagging = false;
    if (start) reader.begin(start);
    this.subscribe();
  }

  /** Another principal is asking: what was read for the one before may not be theirs. */
  reset(): void {
    for (const reader of this.#readers) reader.needs = "snapshot";
  }

  #active(): FeedReader[] {
    return [...this.#readers].filter((reader) => !reader.lagging);
  }

  // --- subscribing
  /** Subscribe (again) from what the readers need; a later call makes an earlier one void. */
  subscribe(): void {
    this.#open = false;
    const id = ++this.#subscribeId;
    const readers = this.#active();
    if (!readers.length) return this.#unsubscribe();
    this.#connection.markBehind(this, true);
    if (this.#connection.error) return this.#fail(this.#connection.error);
    if (!this.#connection.connected) return;
    const start = startOf(readers);
    this.#connection.post({ op: "subscribe", session: this.#session, start }, (error, result) => {
      if (id === this.#subscribeId) this.#subscribed(start, error, result);
    });
  }

  /** There is a new connection. */
  reconnected(): void {
    if (this.#active().length) this.subscribe();
  }

  /** The connection is gone; `reconnected` follows when there is another. */
  lost(): void {
    this.#open = false;
    this.#subscribeId++;
    if (!this.#readers.size) return;
    this.#connection.markBehind(this, true);
    if (this.#connection.error) return this.#fail(this.#connection.error);
    for (const reader of this.#readers) reader.disconnected();
  }

  #unsubscribe(): void {
    this.#open = false;
    this.#subscribeId++;
    this.#connection.markBehind(this, false);
    this.#connection.post({ op: "unsubscribe", session: this.#session });
  }

  #retryLater(): void {
    const id = this.#subscribeId;
    setTimeout(() => id === this.#subscribeId && this.subscribe(), 100 + delayMs(this.#failures++));
  }

  #subscribed(start: Start, error: HoldfastError | null, result: OpResult): void {
    if (error) {
      if (!error.retry) this.#fail(error);
      else if (this.#connection.connected) this.#retryLater();
      return;
    }
    this.#failures = 0;
    this.#open = true;
    const incarnation = String(result["incarnation"]);
    this.#tail = Number(result["tail"]);
    for (const reader of this.#active()) reader.subscribed(this.#tail, incarnation);
    if (start === "snapshot" || (start !== "tail" && start.incarnation !== incarnation)) return; // a snapshot follows
    for (const reader of this.#active()) {
      if (start === "tail" && reader.needs === "tail") reader.begin({ incarnation, seq: this.#tail });
      else if (!reader.needs && reader.incarnation !== incarnation) reader.needs = "snapshot";
    }
    this.#ensureReached(start === "tail" ? this.#tail : 0);
  }

  /** The wire stands at `position`: subscribe again when a reader has not come that far. */
  #ensureReached(position: number): void {
    if (this.#active().some((reader) => reader.needs || reader.seq < position)) this.subscribe();
  }

  #fail(error: HoldfastError): void {
    this.#open = false;
    this.#subscribeId++;
    this.#connection.markBehind(this, false);
    const readers = [...this.#readers];
    this.#readers.clear();
    for (const reader of readers) reader.fail(error);
  }

  // --- from the wire
  /** A message of this session, in order; ignored unless the newest subscribe was answered before it. */
  received(message: SessionMessage, size: number): void {
    if (!this.#open) return;
    if (message.op === "events" || message.op === "skip") {
      this.#tail = Math.max(this.#tail, message.to);
      this.#deliver(message, size);
    } else if (message.op === "snapshot") {
      this.#applySnapshot(message, size);
    } else if (message.op === "live") {
      this.#lastGap = "";
      this.#connection.markBehind(this, false);
      for (const reader of this.#active()) reader.caughtUp();
    } else if (message.op === "closed") {
      if (/^(server|limit|disk|commit)\./.test(message.code)) this.#retryLater();
      else this.#fail(new HoldfastError({ code: message.code, message: "Closed by the server." }));
    }
  }

  /** Give a frame to every reader it follows. */
  #deliver(message: SessionMessage & { op: "events" | "skip" }, size: number): void {
    let resubscribe = false;
    for (const reader of this.#active()) {
      if (reader.needs) continue;
      const fits = message.op === "skip" ? this.#skip(reader, message) : this.#events(reader, message.events, size);
      if (!fits) resubscribe = true;
    }
    if (resubscribe) this.subscribe();
    else if (!this.#active().length) this.#unsubscribe();
  }

  #skip(reader: FeedReader, { from, to }: { from: number; to: number }): boolean {
    if (to <= reader.seq) return true;
    if (from > reader.seq + 1) return this.#gap(reader);
    reader.skip(reader.seq + 1, to);
    reader.seq = to;
    return true;
  }

  #events(reader: FeedReader, events: SessionEvent[], size: number): boolean {
    for (const event of events) {
      const last = event.to ?? event.seq;
      if (last <= reader.seq) continue; // a frame may begin before the cursor
      if (event.seq !== reader.seq + 1) return this.#gap(reader);
      if (!reader.event(event, size / events.length)) {
        reader.needs = "snapshot";
        return false;
      }
      reader.seq = last;
      if (reader.lagging) break;
    }
    return true;
  }

  /** What came does not follow; the same gap twice means that only a snapshot helps. */
  #gap(reader: FeedReader): false {
    const position = `${reader.incarnation} ${reader.seq}`;
    if (this.#lastGap === position) reader.needs = "snapshot";
    this.#lastGap = position;
    return false;
  }

  #applySnapshot(message: SessionMessage & { op: "snapshot" }, size: number): void {
    const { incarnation, seq, view, reason = "start" } = message;
    let viewUsed = false;
    for (const reader of this.#active()) {
      const applies = reader.needs
        ? reader.needs === "snapshot"
        : reader.incarnation !== incarnation || (reason !== "start" && (reader.seq < seq || reader.seq > this.#tail));
      if (!applies) continue;
      // for a reader that had a position it is a reset, whatever the snapshot was requested for
      const readerReason = reason === "start" && reader.incarnation ? "reset" : reason;
      reader.begin({ incarnation, seq });
      reader.snapshot({ type: "snapshot", incarnation, seq, view: viewUsed ? structuredClone(view) : view, reason: readerReason }, size);
      viewUsed = true;
    }
    this.#tail = Math.max(this.#tail, seq);
    this.#ensureReached(seq);
  }
}

function startOf(readers: FeedReader[]): Start {
  if (readers.some(({ needs }) => needs === "snapshot")) return "snapshot";
  if (readers.some(({ needs }) => needs === "tail")) return "tail";
  const { incarnation, seq } = readers.reduce((least, reader) => (reader.seq < least.seq ? reader : least));
  return { incarnation, seq };
}
