// Owns the one error this package throws on purpose.

import type { Code } from "./codes.js";

/** An error as the server sends it; further facts (`expected`, `by` …) ride along. */
export interface WireError {
  code: AnyCode;
  message: string;
  fix?: string;
  retry?: boolean;
  [fact: string]: unknown;
}

/** A code of the table, or one that a newer server has. */
export type AnyCode = Code | (string & {});

/**
 * A refusal, or a failure to get an answer.
 *
 * `code` is stable (docs/reference/errors.md), `fix` says what to do, `retry` whether the same request, with the same
 * key, may succeed later. `timeout` and `commit.unknown` leave the outcome unknown: the same key settles it.
 */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  declare readonly code: AnyCode;
  declare readonly fix: string;
  declare readonly retry: boolean;
  /** Further facts the server gave, such as `by` and `decision`. */
  declare readonly facts: Readonly<Record<string, unknown>>;

  constructor({ code, message, fix = "", retry = false, ...facts }: WireError) {
    super(message);
    Object.assign(this, { code, fix, retry, facts });
  }
}

/** The connection was lost, or could not be made: it is tried again. */
export const connectionLost = (message: string): WireError => ({ code: "connection.lost", message, retry: true });
