// Owns requests to the server's REST edge: the token in a header, errors as errors. It is loaded when it is needed.

import type { WireError } from "./errors.js";
import type { TokenSource } from "./token.js";

/** Where and as whom to ask. */
export interface HttpEndpoint {
  server: string;
  token: TokenSource;
  fetch: typeof globalThis.fetch;
}

/** A request was refused, or not answered: `wire` is the error as it is sent. */
export class HttpRequestError extends Error {
  readonly wire: WireError;

  constructor(wire: WireError) {
    super(wire.message);
    this.wire = wire;
  }
}

/** What went wrong, as it would be sent. */
export const wireErrorOf = (error: unknown): WireError =>
  error instanceof HttpRequestError ? error.wire : { code: "connection.lost", message: String(error), retry: true };

/** The path of a session, as its REST routes begin. */
export const sessionPath = (session: string): string => `/v1/sessions/${encodeURIComponent(session)}`;

/** Ask for something; rejects with `RequestFailed` for every status of 400 and above. */
export async function httpRequest({ server, fetch }: HttpEndpoint, token: string, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...(init.headers as Record<string, string>), authorization: `Bearer ${token}` };
  const response = await fetch(server + path, { ...init, headers, credentials: "omit", cache: "no-store" });
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const fallback = { code: "server.internal", message: `HTTP ${response.status}`, retry: response.status >= 500 };
  throw new HttpRequestError(body?.error ?? fallback);
}
