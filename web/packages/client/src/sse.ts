// Owns the transport without WebSockets: sessions are followed as server-sent events, operations are HTTP requests
// (docs/reference/http.md). Events come through `fetch`, so that the token goes in a header, never in the URL.

import { claimsOf } from "./claims.js";
import type { WireError } from "./errors.js";
import { type HttpEndpoint, httpRequest, sessionPath, wireErrorOf } from "./http.js";
import type { Op, OpResult, ServerMessage, SessionRow, Start } from "./protocol.js";
import type { Dial, Hello, OpRequest, Sink, Transport } from "./transport.js";

const LIST_MS = 5_000; // between two requests for the list of sessions
const SILENCE_MS = 25_000; // a stream carries a comment every 10 s: after so long it is dead
const PROBE_MS = 60_000; // a WebSocket is tried so often, and
const FIRST_PROBE_MS = 2_000; // so soon: it was perhaps only the server that was away

const pathPart = (op: Op, field: string): string => encodeURIComponent(String(op[field]));

/** Operations as requests: the method, and what follows the path of the session. */
const REQUESTS: Record<string, (op: Op) => [method: string, path: string]> = {
  create: () => ["POST", ""],
  rename: () => ["PATCH", ""],
  delete: () => ["DELETE", ""],
  append: () => ["POST", "/events"],
  send: () => ["POST", "/messages"],
  cancel: () => ["POST", "/cancel"],
  steer: (op) => ["POST", `/runs/${pathPart(op, "run")}/steer`],
  interrupt: () => ["POST", "/interrupt"],
  resolve: (op) => ["POST", `/approvals/${pathPart(op, "approval")}`],
  regenerate: (op) => ["POST", `/messages/${pathPart(op, "input")}/regenerate`],
  select: () => ["POST", "/branch"],
  take: () => ["POST", "/take"],
  give_back: () => ["POST", "/give_back"],
  read: () => ["PUT", "/read"],
  history: (op) => ["GET", `/history/${pathPart(op, "page")}${op["incarnation"] ? `?incarnation=${pathPart(op, "incarnation")}` : ""}`],
};
/** People's control does not wait for earlier requests of its session. */
const UNORDERED = /^(cancel|steer|interrupt|resolve|take|history|read)$/;

const connectionLost = (message: string): WireError => ({ code: "connection.lost", message, retry: true });

/** Called when HTTP does not work either, and, with a callback, to try whether a WebSocket can be opened. */
export type TryWebSocket = (whenOpen?: () => void) => void;

/** Dials over HTTP. */
export const sseDial = (http: HttpEndpoint, tryWebSocket: TryWebSocket, probeMs = PROBE_MS): Dial =>
  (hello, sink) => new SseTransport(http, hello, sink, tryWebSocket, probeMs);

class SseTransport implements Transport {
  readonly kind = "sse";
  readonly #http: HttpEndpoint;
  readonly #sink: Sink;
  #token: string;
  readonly #closed = new AbortController();
  readonly #streams = new Map<string, AbortController>();
  readonly #lastRequests = new Map<string, Promise<unknown>>(); // by session: the last request, which the next one waits for
  readonly #probeTimer: ReturnType<typeof setInterval>;
  readonly #firstProbeTimer: ReturnType<typeof setTimeout>;
  #listTimer: ReturnType<typeof setInterval> | undefined;
  #rows = new Map<string, string>();

  constructor(http: HttpEndpoint, { token }: Hello, sink: Sink, tryWebSocket: TryWebSocket, probeMs: number) {
    this.#http = http;
    this.#token = token;
    this.#sink = sink;
    const probe = () => tryWebSocket(() => this.#handleLoss(connectionLost("A WebSocket can be opened again.")));
    this.#probeTimer = setInterval(probe, probeMs);
    this.#firstProbeTimer = setTimeout(probe, Math.min(FIRST_PROBE_MS, probeMs));
    this.#welcome(token).catch((error: unknown) => {
      tryWebSocket();
      this.#handleLoss(wireErrorOf(error));
    });
  }

  async #welcome(token: string): Promise<void> {
    const response = await httpRequest(this.#http, this.#token, "/v1/sessions?limit=1", { signal: this.#closed.signal });
    const simulated = response.headers.get("x-holdfast-simulated");
    const extensions = response.headers.get("x-holdfast-extensions");
    const { sub = "", tenant = "", exp } = claimsOf(token);
    this.#deliver({
      op: "welcome", principal: sub, tenant, expires_ms: exp ? exp * 1_000 : null, connection: "", limits: {},
      ...(simulated !== null && { simulated }), ...(extensions !== null && { extensions: extensions.split(", ") }),
    });
  }

  send(message: object): void {
    const op = message as OpRequest;
    this.#execute(op).then(
      (result) => result && this.#deliver({ ...result, op: "ok", id: op.id }),
      (error: unknown) => {
        const wire = wireErrorOf(error);
        if (wire.code === "connection.lost") this.#handleLoss(wire);
        else this.#deliver({ op: "error", id: op.id, error: wire });
      },
    );
  }

  close(): void {
    this.#closed.abort();
    clearInterval(this.#probeTimer);
    clearTimeout(this.#firstProbeTimer);
    clearInterval(this.#listTimer);
    for (const stream of this.#streams.values()) stream.abort();
  }

  #deliver(message: ServerMessage): void {
    if (!this.#closed.signal.aborted) this.#sink.received(message, 0);
  }

  #handleLoss(error: WireError): void {
    if (this.#closed.signal.aborted) return;
    this.close();
    this.#sink.lost(error);
  }

  async #requestJson(path: string, init: RequestInit = {}): Promise<any> {
    return (await httpRequest(this.#http, this.#token, path, { signal: this.#closed.signal, ...init })).json();
  }

  // --- operations
  /** The result, or null when it was delivered already. */
  async #execute(op: OpRequest): Promise<OpResult | null> {
    switch (op.op) {
      case "ping":
        await this.#requestJson("/v1/sessions?limit=1");
        return {};
      case "auth": {
        this.#token = op["token"] as string;
        const { exp } = claimsOf(this.#token);
        return { expires_ms: exp ? exp * 1_000 : null };
      }
      case "watch":
        this.#rows = new Map();
        clearInterval(this.#listTimer);
        this.#listTimer = setInterval(() => void this.#pollList().catch(() => {}), LIST_MS);
        await this.#pollList();
        return {};
      case "unwatch":
        clearInterval(this.#listTimer);
        return {};
      case "subscribe":
        await this.#openStream(op.session!, op["start"] as Start, op.id);
        return null;
      case "unsubscribe":
        this.#streams.get(op.session!)?.abort();
        return {};
      case "presence": // is of connections, and this is none: it is shown to nobody
        return {};
      default:
        return this.#request(op);
    }
  }

  async #request({ id: _, op, session, ...fields }: OpRequest): Promise<OpResult> {
    const [method, path] = REQUESTS[op]!({ op, ...fields });
    const previous = UNORDERED.test(op) ? undefined : this.#lastRequests.get(session!);
    const result = (async () => {
      await previous?.catch(() => {});
      const init = { method, headers: { "content-type": "application/json" } };
      if (method === "GET") return this.#requestJson(sessionPath(session!) + path);
      if (op === "create") return this.#requestJson("/v1/sessions", { ...init, body: JSON.stringify({ session, ...fields }) });
      return this.#requestJson(sessionPath(session!) + path, { ...init, body: JSON.stringify(fields) });
    })();
    if (!UNORDERED.test(op)) this.#lastRequests.set(session!, result);
    return result;
  }

  /** Deliver what has changed in the list of sessions since the last request for it. */
  async #pollList(): Promise<void> {
    const { sessions } = (await this.#requestJson("/v1/sessions?limit=100")) as { sessions: SessionRow[] };
    const now = new Map(sessions.map((row) => [row.session, JSON.stringify(row)]));
    const rows = sessions.filter((row) => this.#rows.get(row.session) !== now.get(row.session));
    const removed = [...this.#rows.keys()].filter((session) => !now.has(session));
    const first = !this.#rows.size;
    this.#rows = now;
    if (first || rows.length || removed.length) this.#deliver({ op: "sessions", rows, removed });
  }

  // --- streams
  async #openStream(session: string, start: Start, id: number): Promise<void> {
    this.#streams.get(session)?.abort();
    const stream = new AbortController();
    this.#streams.set(session, stream);
    const path = `${sessionPath(session)}/events`;
    const after = typeof start === "string" ? null : start;
    // the stream does not say where the log ends; for a cursor a request does, else the first message
    const tail = after && ((await this.#requestJson(`${path}?after=${after.seq}&max_bytes=1`).catch(nullUnlessLost)) as OpResult | null);
    const position = after ? `cursor=${encodeURIComponent(`${after.incarnation}:${after.seq}`)}` : `start=${String(start)}`;
    const headers = { accept: "text/event-stream" };
    const response = await httpRequest(this.#http, this.#token, `${path}?${position}`, { signal: stream.signal, headers })
      .catch((error: unknown) => (stream.signal.aborted ? null : Promise.reject(error))); // another subscribe came
    if (!response) return;
    if (tail) this.#deliver({ op: "ok", id, incarnation: tail["incarnation"], tail: tail["tail"] });
    void this.#readStream(response.body!, stream, session, tail ? null : id).catch(
      (error: unknown) => stream.signal.aborted || this.#handleLoss(wireErrorOf(error)),
    );
  }

  async #readStream(body: ReadableStream<Uint8Array>, stream: AbortController, session: string, subscribeId: number | null): Promise<void> {
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let text = "";
    let closed = false;
    let unanswered = subscribeId;
    for (;;) {
      const silence = setTimeout(() => this.#handleLoss(connectionLost("The stream fell silent.")), SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (stream.signal.aborted) return;
      if (done) break;
      const parts = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = parts.pop()!;
      for (const event of parts) {
        const data = /^data: (.*)$/m.exec(event)?.[1];
        if (!data) continue;
        const message = JSON.parse(data);
        if (unanswered !== null && "seq" in message) {
          this.#deliver({ op: "ok", id: unanswered, incarnation: message.incarnation, tail: message.seq });
          unanswered = null;
        }
        if (unanswered === null || message.op === "presence") this.#deliver({ session, ...message });
        if (message.op === "closed") closed = true;
      }
    }
    if (!closed) this.#handleLoss(connectionLost("The stream ended."));
  }
}

/** Only a lost connection matters: whatever else is wrong, the stream itself says. */
function nullUnlessLost(error: unknown): null {
  if (wireErrorOf(error).code === "connection.lost") throw error;
  return null;
}
