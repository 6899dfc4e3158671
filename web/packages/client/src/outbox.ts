// Owns the operations that wait for an answer, and how those with a key survive a reload of the page.

import { HoldfastError } from "./errors.js";
import type { Op, OpResult } from "./protocol.js";

/** Where a page stores what survives a reload: `sessionStorage`, or anything that looks like it. */
export type StorageLike = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** What is called once with the outcome of an operation, in the order in which answers came. */
export type OpCallback = (error: HoldfastError | null, result: OpResult) => void;

interface PendingOp {
  op: Op;
  done: OpCallback;
}

/** A key for an operation: 128 random bits. Works without a secure context, on a phone in the same network. */
export const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Operations by id, in the order in which they were requested. */
export class Outbox {
  readonly pending = new Map<number, PendingOp>();
  #next = 1;
  readonly #storage: StorageLike | null;
  readonly #name: string;
  readonly #changed: () => void;
  #stored: { principal: string; ops: Op[] } = { principal: "", ops: [] }; // of an earlier life, until it is claimed

  constructor(storage: StorageLike | null, name: string, changed: () => void) {
    this.#storage = storage;
    this.#name = name;
    this.#changed = changed;
    try {
      this.#stored = JSON.parse(storage!.getItem(name)!) ?? this.#stored;
    } catch {} // nothing is stored, or storage is forbidden
  }

  /** Operations that write and have no answer yet: what a page shows as being sent. */
  keyedOps(): Op[] {
    return [...this.pending.values()].map(({ op }) => op).filter(({ key }) => key);
  }

  add(op: Op, done: OpCallback): number {
    const id = this.#next++;
    this.pending.set(id, { op, done });
    this.#persist(op);
    return id;
  }

  /** Remove an operation, and return it. */
  take(id: number): PendingOp | undefined {
    const entry = this.pending.get(id);
    this.pending.delete(id);
    if (entry) this.#persist(entry.op);
    return entry;
  }

  /** The server knows who is asking: what an earlier life of this page left without an answer, if it was theirs. */
  claim(principal: string): Op[] {
    const { ops } = this.#stored;
    const isTheirs = this.#stored.principal === principal;
    this.#stored = { principal, ops: [] };
    return isTheirs ? ops : [];
  }

  #persist(op: Op): void {
    if (!op.key) return;
    const { principal, ops: stored } = this.#stored;
    const ops = [...stored, ...this.keyedOps()];
    try {
      if (ops.length) this.#storage?.setItem(this.#name, JSON.stringify({ principal, ops }));
      else this.#storage?.removeItem(this.#name);
    } catch {} // storage is full or forbidden: a reload loses what waits
    this.#changed();
  }
}
