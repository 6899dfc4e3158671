// Owns requests to the server's REST edge: the token in a header, errors as errors.

import { HoldfastError, lost } from "./errors.js";

/** The part of `fetch` that is used. */
export type Fetch = typeof globalThis.fetch;

/** The path of a session, as its REST routes begin. */
export const sessionPath = (session: string): string => `/v1/sessions/${encodeURIComponent(session)}`;

/** Ask for something; rejects with a `HoldfastError` for every status of 400 and above. */
export async function ask(fetch: Fetch, url: string, token: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(init.headers as Record<string, string>), authorization: `Bearer ${token}` };
  let response;
  try {
    response = await fetch(url, { ...init, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    throw lost(`The server could not be reached: ${String(error)}`);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const failed = { code: "server.internal", message: `HTTP status ${response.status}`, retry: response.status >= 500 };
  throw new HoldfastError(body?.error ?? failed);
}
