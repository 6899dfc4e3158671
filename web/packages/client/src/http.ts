// Owns requests to the server's REST edge: the token in a header, errors as errors.

import { HoldfastError, lost } from "./errors.js";
import { fetchToken, type TokenSource } from "./token.js";

/** Where and as whom to ask. */
export interface Http {
  server: string;
  token: TokenSource;
  fetch: typeof globalThis.fetch;
}

/** The path of a session, as its REST routes begin. */
export const sessionPath = (session: string): string => `/v1/sessions/${encodeURIComponent(session)}`;

/** Ask for something; rejects with a `HoldfastError` for every status of 400 and above. */
export async function ask({ server, token, fetch }: Http, path: string, init: RequestInit = {}): Promise<Response> {
  const authorization = `Bearer ${await fetchToken(token)}`;
  const headers = { ...(init.headers as Record<string, string>), authorization };
  let response;
  try {
    response = await fetch(server + path, { ...init, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    throw lost(`The server could not be reached: ${String(error)}`);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const failed = { code: "server.internal", message: `HTTP status ${response.status}`, retry: response.status >= 500 };
  throw new HoldfastError(body?.error ?? failed);
}
