// Owns what the leading tab does for all tabs: one connection, shared by transports that each behave as if it were
// theirs alone. Reading is shared through the same feeds as within a tab, so each gets exactly what follows its cursor.

import type { Connection } from "./connection.js";
import type { WireError } from "./errors.js";
import type { Feed, FeedReader, Snapshot } from "./feed.js";
import type { OpResult, ServerMessage, SessionEvent, SessionRow, Start } from "./protocol.js";
import type { OpRequest } from "./transport.js";

/** A tab, as the leader sees it. */
export interface TabPort {
  id: string;
  send(message: ServerMessage, size: number): void;
  lost(error: WireError): void;
}

interface ConnectedTab extends TabPort {
  readers: Map<string, TabReader>;
  watches: boolean;
}

export class TabLeader {
  readonly #connection: Connection;
  readonly #Feed: typeof Feed;
  readonly #tabs = new Map<string, ConnectedTab>();
  readonly #feeds = new Map<string, Feed>();
  #rows: Map<string, SessionRow> | null = null; // of this connection

  constructor(connection: Connection, FeedClass: typeof Feed) {
    this.#connection = connection;
    this.#Feed = FeedClass;
    connection.listeners.add({
      welcomed: () => {
        for (const feed of this.#feeds.values()) feed.reconnected();
        for (const tab of this.#tabs.values()) this.#welcome(tab);
      },
      lost: () => {
        const error = toWireError(connection.error) ?? { code: "connection.lost", message: "The server is away.", retry: true };
        this.#rows = null;
        for (const tab of [...this.#tabs.values()]) this.#drop(tab, error);
        for (const feed of this.#feeds.values()) feed.lost();
      },
      received: (message, size) => this.#received(message, size),
    });
  }

  get transport(): "websocket" | "sse" | "tab" | null {
    return this.#connection.status.transport;
  }

  close(): void {
    this.#connection.close();
  }

  // --- tabs come and go
  /** A tab begins: it is welcomed as soon as the server has welcomed us. */
  join(tab: TabPort): void {
    const connected = { ...tab, readers: new Map(), watches: false };
    this.#tabs.set(tab.id, connected);
    const { error } = this.#connection;
    if (error) this.#drop(connected, toWireError(error)!);
    else if (this.#connection.connected) this.#welcome(connected);
    else this.#connection.wake();
  }

  leave(id: string): void {
    const tab = this.#tabs.get(id);
    if (!tab) return;
    this.#tabs.delete(id);
    for (const session of [...tab.readers.keys()]) this.#unsubscribe(tab, session);
  }

  #welcome(tab: TabPort): void {
    tab.send(this.#connection.welcome!, 0);
  }

  #drop(tab: ConnectedTab, error: WireError): void {
    this.leave(tab.id);
    tab.lost(error);
  }

  // --- operations
  /** Do an operation for a tab. False when the tab is not joined here. */
  serve(id: string, op: OpRequest): boolean {
    const tab = this.#tabs.get(id);
    if (!tab) return false;
    const reply = (fields: OpResult) => tab.send({ ...fields, op: "ok", id: op.id }, 0);
    if (op.op === "subscribe") {
      this.#subscribe(tab, op);
    } else if (op.op === "unsubscribe") {
      this.#unsubscribe(tab, op.session!);
      reply({});
    } else if (op.op === "watch") {
      reply({});
      tab.watches = true;
      if (this.#rows) tab.send({ op: "sessions", rows: [...this.#rows.values()] }, 0);
      else this.#connection.post({ op: "watch" });
    } else if (op.op === "unwatch") {
      tab.watches = false;
      reply({});
    } else if (op.op === "auth") {
      reply({ expires_ms: null }); // the leader's token is what counts, and the leader sees to it
    } else {
      const { id: _, ...forwardedOp } = op;
      this.#connection.post(forwardedOp, (error, fields) => {
        if (!this.#tabs.has(id)) return; // requested again, with the same key, by the tab's next transport
        if (error) tab.send({ op: "error", id: op.id, error: toWireError(error)! }, 0);
        else reply(fields);
      });
    }
    return true;
  }

  #subscribe(tab: ConnectedTab, { session, start, id }: OpRequest): void {
    const sessionId = session as string;
    this.#unsubscribe(tab, sessionId);
    let feed = this.#feeds.get(sessionId);
    if (!feed) this.#feeds.set(sessionId, (feed = new this.#Feed(this.#connection, sessionId)));
    const reader = new TabReader(tab, sessionId, id, (start ?? "snapshot") as Start);
    tab.readers.set(sessionId, reader);
    feed.add(reader);
  }

  #unsubscribe(tab: ConnectedTab, session: string): void {
    const reader = tab.readers.get(session);
    if (!reader) return;
    tab.readers.delete(session);
    this.#feeds.get(session)!.remove(reader);
  }

  // --- from the server
  #received(message: ServerMessage, size: number): void {
    if (message.op === "sessions") {
      this.#rows ??= new Map();
      for (const row of message.rows ?? []) this.#rows.set(row.session, row);
      for (const removed of message.removed ?? []) this.#rows.delete(removed);
      for (const tab of this.#tabs.values()) if (tab.watches) tab.send(message, size);
    } else if (message.op === "presence") {
      for (const tab of this.#tabs.values()) if (tab.readers.has(message.session)) tab.send(message, size);
    } else if ("session" in message) {
      this.#feeds.get(message.session as string)?.received(message as Parameters<Feed["received"]>[0], size);
    }
  }
}

/** An error as it would be sent. */
const toWireError = (error: Connection["error"]): WireError | null =>
  error && { ...error.facts, code: error.code, message: error.message, fix: error.fix, retry: error.retry };

/** A tab's subscription: a reader like any other, that passes on what it receives. */
class TabReader implements FeedReader {
  needs: FeedReader["needs"] = null;
  incarnation = "";
  seq = 0;
  lagging = false;
  readonly #tab: TabPort;
  readonly #session: string;
  #subscribeId: number | null; // the subscribe that was not answered yet
  #events: SessionEvent[] = [];
  #size = 0;

  constructor(tab: TabPort, session: string, subscribeId: number, start: Start) {
    this.#tab = tab;
    this.#session = session;
    this.#subscribeId = subscribeId;
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

  subscribed(tail: number, incarnation: string): void {
    if (this.#subscribeId === null) return;
    this.#tab.send({ op: "ok", id: this.#subscribeId, session: this.#session, incarnation, tail }, 0);
    this.#subscribeId = null;
  }

  /** Events of one frame are passed on together. */
  event(event: SessionEvent, size: number): boolean {
    this.#size += size;
    if (this.#events.push(event) === 1) queueMicrotask(() => this.#flush());
    return true;
  }

  #flush(): void {
    const events = this.#events;
    const last = events.at(-1);
    if (!last) return;
    const [from, to] = [events[0]!.seq, last.to ?? last.seq];
    this.#tab.send({ op: "events", session: this.#session, from, to, events }, this.#size);
    this.#events = [];
    this.#size = 0;
  }

  skip(from: number, to: number): void {
    this.#flush();
    this.#tab.send({ op: "skip", session: this.#session, from, to }, 0);
  }

  snapshot({ incarnation, seq, view, reason }: Snapshot, size: number): void {
    this.#flush();
    const wireReason = reason as "start" | "reset" | "slow";
    this.#tab.send({ op: "snapshot", session: this.#session, incarnation, seq, view, reason: wireReason }, size);
  }

  caughtUp(): void {
    this.#flush();
    this.#tab.send({ op: "live", session: this.#session, incarnation: this.incarnation, seq: this.seq }, 0);
  }

  disconnected(): void {}

  fail(error: NonNullable<Connection["error"]>): void {
    this.#flush();
    if (this.#subscribeId !== null) this.#tab.send({ op: "error", id: this.#subscribeId, error: toWireError(error)! }, 0);
    else this.#tab.send({ op: "closed", session: this.#session, code: error.code }, 0);
    this.#subscribeId = null;
  }
}
