// Owns the live list of the principal's sessions (SUB-8): what the server's `sessions` messages add up to.

import type { Connection, Listener } from "./connection.js";
import { Followed } from "./emitter.js";
import type { SessionRow } from "./protocol.js";

/** `follow` it, and `rows` is up to date. Fires `change`. */
export class SessionList extends Followed {
  /** The sessions, most recently active first. A new array after every change. */
  rows: readonly SessionRow[] = [];
  /** Whether the rows are there, and of this connection. */
  fresh = false;
  readonly #connection: Connection;
  readonly #known = new Map<string, SessionRow>();

  readonly #all: boolean;

  constructor(connection: Connection, all: boolean) {
    super();
    this.#connection = connection;
    this.#all = all;
  }

  protected begin(): void {
    this.#connection.listeners.add(this.#heard);
    this.#watch();
  }

  protected end(): void {
    this.#connection.listeners.delete(this.#heard);
    this.#connection.post({ op: "unwatch" });
    this.fresh = false;
  }

  #watch(): void {
    this.fresh = false;
    this.#connection.post(this.#all ? { op: "watch", all: true } : { op: "watch" });
  }

  readonly #heard: Listener = {
    welcomed: () => this.#watch(),
    lost: () => {
      this.fresh = false;
      this.emit("change");
    },
    received: (message) => {
      if (message.op !== "sessions") return;
      if (!this.fresh) this.#known.clear(); // after every connect all rows come first
      this.fresh = true;
      for (const row of message.rows ?? []) this.#known.set(row.session, row);
      for (const gone of message.removed ?? []) this.#known.delete(gone);
      this.rows = [...this.#known.values()].sort((a, b) => b.active_ms - a.active_ms);
      this.emit("change");
    },
  };
}
