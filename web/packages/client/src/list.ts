// Owns the live list of the principal's sessions (SUB-8): what the server's `sessions` messages add up to.

import type { Connection, ConnectionListener } from "./connection.js";
import { Followable } from "./emitter.js";
import type { SessionRow } from "./protocol.js";

/** `follow` it, and `rows` is up to date. Fires `change`. */
export class SessionList extends Followable {
  /** The sessions, most recently active first. A new array after every change. */
  rows: readonly SessionRow[] = [];
  /** Whether the rows are there, and of this connection. */
  fresh = false;
  readonly #connection: Connection;
  readonly #rowsById = new Map<string, SessionRow>();

  readonly #all: boolean;

  constructor(connection: Connection, all: boolean) {
    super();
    this.#connection = connection;
    this.#all = all;
  }

  protected begin(): void {
    this.#connection.listeners.add(this.#listener);
    this.#watch();
  }

  protected end(): void {
    this.#connection.listeners.delete(this.#listener);
    this.#connection.post({ op: "unwatch" });
    this.fresh = false;
  }

  #watch(): void {
    this.fresh = false;
    this.#connection.post(this.#all ? { op: "watch", all: true } : { op: "watch" });
  }

  readonly #listener: ConnectionListener = {
    welcomed: () => this.#watch(),
    lost: () => {
      this.fresh = false;
      this.emit("change");
    },
    received: (message) => {
      if (message.op !== "sessions") return;
      if (!this.fresh) this.#rowsById.clear(); // after every connect all rows come first
      this.fresh = true;
      for (const row of message.rows ?? []) this.#rowsById.set(row.session, row);
      for (const id of message.removed ?? []) this.#rowsById.delete(id);
      this.rows = [...this.#rowsById.values()].sort((a, b) => b.active_ms - a.active_ms);
      this.emit("change");
    },
  };
}
