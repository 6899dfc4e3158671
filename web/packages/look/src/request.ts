// Owns requests of a page to its own server: an answer, or an error in words for people, never in the browser's.

/** A request that was refused, or not answered. */
export class Unanswered extends Error {
  /** What to do. */
  readonly fix: string;
  /** Nothing was heard at all: whether it was done is not known. */
  readonly unheard: boolean;

  constructor(message: string, fix = "", unheard = false) {
    super(message);
    this.fix = fix;
    this.unheard = unheard;
  }
}

/** Ask one of the server's routes as whom a token speaks. Rejects with `Unanswered`. */
export async function ask<T>(path: string, token: string, method = "GET"): Promise<T> {
  const response = await fetch(path, { method, headers: { authorization: `Bearer ${token}` } }).catch(() => null);
  if (response === null) throw new Unanswered("The server did not answer.", "", true);
  const answer: unknown = await response.json().catch(() => null); // a proxy before it may answer anything
  const error = (answer as { error?: { message: string; fix?: string } } | null)?.error;
  if (error) throw new Unanswered(error.message, error.fix);
  if (!response.ok || answer === null) throw new Unanswered(`The server could not answer: HTTP ${response.status}.`, "", response.status >= 500);
  return answer as T;
}
