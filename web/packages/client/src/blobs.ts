// Owns blobs: large tool results and attachments, kept beside the log and named in it (over HTTP).

import type { Client } from "./client.js";
import { HoldfastError } from "./errors.js";
import { httpRequest, sessionPath, wireErrorOf } from "./http.js";
import { fetchToken } from "./token.js";

async function request({ http }: Client, path: string, init?: RequestInit): Promise<Response> {
  const token = await fetchToken(http.token);
  return httpRequest(http, token, path, init).catch((error: unknown) => Promise.reject(new HoldfastError(wireErrorOf(error))));
}

/** Store a blob of a session; resolves with its id, the SHA-256 of its bytes in hex. */
export async function putBlob(
  client: Client, session: string, data: Blob | BufferSource | string, mediaType?: string,
): Promise<string> {
  const type = mediaType ?? ((data instanceof Blob && data.type) || "application/octet-stream");
  const init = { method: "POST", body: data as BodyInit, headers: { "content-type": type } };
  return (await (await request(client, `${sessionPath(session)}/blobs`, init)).json()).blob;
}

/** A blob's content; rejects with `blob.not_found`. */
export async function getBlob(client: Client, session: string, blob: string): Promise<Blob> {
  return (await request(client, `${sessionPath(session)}/blobs/${encodeURIComponent(blob)}`)).blob();
}
