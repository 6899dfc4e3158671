// Owns requests of a page to its own server: an answer, or an error written for people, never the browser's.

/** A request that was refused, or not answered. */
export class RequestError extends Error {
  /** What to do. */
  readonly fix: string;
  /** There was no response at all: whether it was done is not known. */
  readonly noResponse: boolean;
  /** HTTP status; 0 when there was no response. */
  readonly status: number;

  constructor(message: string, fix = "", noResponse = false, status = 0) {
    super(message);
    this.fix = fix;
    this.noResponse = noResponse;
    this.status = status;
  }
}

/** Request one of the server's routes with a token. Rejects with `RequestError`. */
export async function requestJson<T>(path: string, token: string, method = "GET", json?: unknown): Promise<T> {
  const sent = json === undefined ? {} : { body: JSON.stringify(json) };
  const response = await fetch(path, { method, headers: { authorization: `Bearer ${token}` }, ...sent }).catch(() => null);
  if (response === null) throw new RequestError("The server did not answer.", "", true);
  const body: unknown = await response.json().catch(() => null); // a proxy before it may answer anything
  const error = (body as { error?: { message: string; fix?: string } } | null)?.error;
  if (error) throw new RequestError(error.message, error.fix, false, response.status);
  if (!response.ok || body === null) throw new RequestError(`The server could not answer: HTTP ${response.status}.`, "", response.status >= 500, response.status);
  return body as T;
}
