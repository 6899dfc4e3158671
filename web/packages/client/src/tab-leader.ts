// Owns what the leading tab does for all of them: one connection, shared by transports that each behave as if it were
// theirs alone. Reading is shared through the same feeds as within a tab, so each gets exactly what follows its cursor.

import type { Connection } from "./connection.js";
import type { WireError } from "./errors.js";
import type { Feed, Reader, Snapshot } from "./feed.js";
import type { Answer, Op, ServerMessage, SessionEvent, SessionRow, Start } from "./protocol.js";

/** A tab, as the hub sees it. */
export interface Port {
  id: string;
  send(message: ServerMessage, size: number): void;
  lost(error: WireError): void;
}

interface Joined extends Port {
  readers: Map<string, PortReader>;
  watches: boolean;
}

type Asked = Op & { id: number };

export class Hub {
  readonly #connection: Connection;
  readonly #Feed: typeof Feed;
  readonly #ports = new Map<string, Joined>();
  readonly #feeds = new Map<string, Feed>();
  #rows: Map<string, SessionRow> | null = null; // of this connection

  constructor(connection: Connection, Made: typeof Feed) {
    this.#connection = connection;
    this.#Feed = Made;
    connection.listeners.add({
      welcomed: () => {
        for (const feed of this.#feeds.values()) feed.back();
        for (const port of this.#ports.values()) this.#welcome(port);
      },
      lost: () => {
        const error = wireOf(connection.error) ?? { code: "connection.lost", message: "The server is away.", retry: true };
        this.#rows = null;
        for (const port of [...this.#ports.values()]) this.#drop(port, error);
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
  join(port: Port): void {
    const joined = { ...port, readers: new Map(), watches: false };
    this.#ports.set(port.id, joined);
    const { error } = this.#connection;
    if (error) this.#drop(joined, wireOf(error)!);
    else if (this.#connection.connected) this.#welcome(joined);
    else this.#connection.wake();
  }

  leave(id: string): void {
    const port = this.#ports.get(id);
    if (!port) return;
    this.#ports.delete(id);
    for (const session of [...port.readers.keys()]) this.#unsubscribe(port, session);
  }

  #welcome(port: Port): void {
    port.send(this.#connection.welcome!, 0);
  }

  #drop(port: Joined, error: WireError): void {
    this.leave(port.id);
    port.lost(error);
  }

  // --- operations
  /** Do what a tab asks for. False when it is not known here. */
  serve(id: string, op: Asked): boolean {
    const port = this.#ports.get(id);
    if (!port) return false;
    const answer = (fields: Answer) => port.send({ ...fields, op: "ok", id: op.id }, 0);
    if (op.op === "subscribe") {
      this.#subscribe(port, op);
    } else if (op.op === "unsubscribe") {
      this.#unsubscribe(port, op.session!);
      answer({});
    } else if (op.op === "watch") {
      answer({});
      port.watches = true;
      if (this.#rows) port.send({ op: "sessions", rows: [...this.#rows.values()] }, 0);
      else this.#connection.post({ op: "watch" });
    } else if (op.op === "unwatch") {
      port.watches = false;
      answer({});
    } else if (op.op === "auth") {
      answer({ expires_ms: null }); // the leader's token is what counts, and the leader sees to it
    } else {
      const { id: _, ...asked } = op;
      this.#connection.post(asked, (error, fields) => {
        if (!this.#ports.has(id)) return; // asked again, with the same key, by what came after it
        if (error) port.send({ op: "error", id: op.id, error: wireOf(error)! }, 0);
        else answer(fields);
      });
    }
    return true;
  }

  #subscribe(port: Joined, { session, start, id }: Asked): void {
    const known = session as string;
    this.#unsubscribe(port, known);
    let feed = this.#feeds.get(known);
    if (!feed) this.#feeds.set(known, (feed = new this.#Feed(this.#connection, known)));
    const reader = new PortReader(port, known, id, (start ?? "snapshot") as Start);
    port.readers.set(known, reader);
    feed.add(reader);
  }

  #unsubscribe(port: Joined, session: string): void {
    const reader = port.readers.get(session);
    if (!reader) return;
    port.readers.delete(session);
    this.#feeds.get(session)!.remove(reader);
  }

  // --- from the server
  #received(message: ServerMessage, size: number): void {
    if (message.op === "sessions") {
      this.#rows ??= new Map();
      for (const row of message.rows ?? []) this.#rows.set(row.session, row);
      for (const gone of message.removed ?? []) this.#rows.delete(gone);
      for (const port of this.#ports.values()) if (port.watches) port.send(message, size);
    } else if (message.op === "presence") {
      for (const port of this.#ports.values()) if (port.readers.has(message.session)) port.send(message, size);
    } else if ("session" in message) {
      this.#feeds.get(message.session as string)?.received(message as Parameters<Feed["received"]>[0], size);
    }
  }
}

/** An error as it would be sent. */
const wireOf = (error: Connection["error"]): WireError | null =>
  error && { ...error.facts, code: error.code, message: error.message, fix: error.fix, retry: error.retry };

/** A tab's subscription: a reader like any other, that passes on what it is given. */
class PortReader implements Reader {
  needs: Reader["needs"] = null;
  incarnation = "";
  seq = 0;
  lagging = false;
  readonly #port: Port;
  readonly #session: string;
  #asked: number | null; // the subscribe that was not answered yet
  #events: SessionEvent[] = [];
  #size = 0;

  constructor(port: Port, session: string, asked: number, start: Start) {
    this.#port = port;
    this.#session = session;
    this.#asked = asked;
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

  began(tail: number, incarnation: string): void {
    if (this.#asked === null) return;
    this.#port.send({ op: "ok", id: this.#asked, session: this.#session, incarnation, tail }, 0);
    this.#asked = null;
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
    this.#port.send({ op: "events", session: this.#session, from, to, events }, this.#size);
    this.#events = [];
    this.#size = 0;
  }

  skip(from: number, to: number): void {
    this.#flush();
    this.#port.send({ op: "skip", session: this.#session, from, to }, 0);
  }

  snapshot({ incarnation, seq, view, reason }: Snapshot, size: number): void {
    this.#flush();
    const why = reason as "start" | "reset" | "slow";
    this.#port.send({ op: "snapshot", session: this.#session, incarnation, seq, view, reason: why }, size);
  }

  caughtUp(): void {
    this.#flush();
    this.#port.send({ op: "live", session: this.#session, incarnation: this.incarnation, seq: this.seq }, 0);
  }

  away(): void {}

  fail(error: NonNullable<Connection["error"]>): void {
    this.#flush();
    if (this.#asked !== null) this.#port.send({ op: "error", id: this.#asked, error: wireOf(error)! }, 0);
    else this.#port.send({ op: "closed", session: this.#session, code: error.code }, 0);
    this.#asked = null;
  }
}
