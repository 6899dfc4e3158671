// Owns blobs: large tool results and attachments, kept beside the log and named in it (over HTTP).

import { ask, sessionPath, type Fetch } from "./http.js";
import { fetchToken, type TokenSource } from "./token.js";

/** Puts and gets blobs of sessions. */
export class Blobs {
  readonly #ask: (path: string, init?: RequestInit) => Promise<Response>;

  constructor(server: string, token: TokenSource, fetch: Fetch) {
    this.#ask = async (path, init) => ask(fetch, server + path, await fetchToken(token), init);
  }

  /** Store a blob; resolves with its id, the SHA-256 of its bytes in hex. */
  async put(session: string, data: Blob | BufferSource | string, mediaType?: string): Promise<string> {
    const type = mediaType ?? ((data instanceof Blob && data.type) || "application/octet-stream");
    const init = { method: "POST", body: data as BodyInit, headers: { "content-type": type } };
    return (await (await this.#ask(`${sessionPath(session)}/blobs`, init)).json()).blob;
  }

  /** A blob's content; rejects with `blob.not_found`. */
  async get(session: string, blob: string): Promise<Blob> {
    return (await this.#ask(`${sessionPath(session)}/blobs/${encodeURIComponent(blob)}`)).blob();
  }
}
