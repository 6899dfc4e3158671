// Owns the operations that wait for an answer, and how those with a key survive a reload of the page.

import { HoldfastError } from "./errors.js";
import type { Answer, Op } from "./protocol.js";

/** Where a page keeps things over a reload: `sessionStorage`, or anything that looks like it. */
export type Keep = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** What is called once with the outcome of an operation, in the order in which answers came. */
export type Done = (error: HoldfastError | null, answer: Answer) => void;

interface Waiting {
  op: Op;
  done: Done;
}

/** A key for an operation: 128 random bits. Works without a secure context, on a phone in the same network. */
export const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Operations by id, in the order in which they were asked for. */
export class Outbox {
  readonly waiting = new Map<number, Waiting>();
  #next = 1;
  readonly #keep: Keep | null;
  readonly #name: string;
  readonly #changed: () => void;
  #left: { principal: string; ops: Op[] } = { principal: "", ops: [] }; // of an earlier life, until it is claimed

  constructor(keep: Keep | null, name: string, changed: () => void) {
    this.#keep = keep;
    this.#name = name;
    this.#changed = changed;
    try {
      this.#left = JSON.parse(keep!.getItem(name)!) ?? this.#left;
    } catch {} // nothing was kept, or nothing may be
  }

  /** Operations that write and have no answer yet: what a page shows as being sent. */
  keyed(): Op[] {
    return [...this.waiting.values()].map(({ op }) => op).filter(({ key }) => key);
  }

  add(op: Op, done: Done): number {
    const id = this.#next++;
    this.waiting.set(id, { op, done });
    this.#wrote(op);
    return id;
  }

  /** Forget an operation; returns what was known of it. */
  take(id: number): Waiting | undefined {
    const known = this.waiting.get(id);
    this.waiting.delete(id);
    if (known) this.#wrote(known.op);
    return known;
  }

  /** The server knows who is asking: what an earlier life of this page left without an answer, if it was theirs. */
  claim(principal: string): Op[] {
    const { ops } = this.#left;
    const theirs = this.#left.principal === principal;
    this.#left = { principal, ops: [] };
    return theirs ? ops : [];
  }

  #wrote(op: Op): void {
    if (!op.key) return;
    const { principal, ops: left } = this.#left;
    const ops = [...left, ...this.keyed()];
    try {
      if (ops.length) this.#keep?.setItem(this.#name, JSON.stringify({ principal, ops }));
      else this.#keep?.removeItem(this.#name);
    } catch {} // storage is full or forbidden: a reload loses what waits
    this.#changed();
  }
}
