// Owns where access tokens come from: a string, or something to call for a fresh one.

import { connectionLost, HoldfastError } from "./errors.js";

/** A token, or a function that fetches one; it is called on every connect, and before the token expires. */
export type TokenSource = string | (() => string | Promise<string>);

const EARLY_MS = 60_000; // before expiry, or a fifth of what is left when that is shorter
const LEAST_MS = 10_000; // a clock that is wrong here must not make a storm of refreshes
const TIMER_MS = 2 ** 31 - 1; // the longest a timer takes

/** A token to present now. Throws `auth.required` when there is none, `connection.lost` when the source failed. */
export async function fetchToken(source: TokenSource): Promise<string> {
  let token;
  try {
    token = typeof source === "function" ? await source() : source;
  } catch (error) {
    throw new HoldfastError(connectionLost(`getToken failed: ${String(error)}`));
  }
  if (token) return token;
  throw new HoldfastError({ code: "auth.required", message: "Pass token or getToken." });
}

/** Milliseconds until a token that ends at `expiresMs` (Unix) should be replaced. */
export function refreshInMs(expiresMs: number): number {
  const remaining = expiresMs - Date.now();
  return Math.min(TIMER_MS, Math.max(LEAST_MS, remaining - Math.min(EARLY_MS, remaining / 5)));
}
