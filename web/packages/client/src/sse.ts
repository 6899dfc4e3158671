// Owns the transport without WebSockets: sessions are followed as server-sent events, operations are HTTP requests
// (docs/reference/http.md). Events come through `fetch`, so that the token goes in a header, never in the URL.

import { claimsOf } from "./claims.js";
import type { WireError } from "./errors.js";
import { ask, sessionPath, wireOf, type Http } from "./http.js";
import type { Answer, Op, ServerMessage, SessionRow, Start } from "./protocol.js";
import type { Dial, Hello, Sink, Transport } from "./transport.js";

const LIST_MS = 5_000; // the list of sessions is asked for so often
const SILENCE_MS = 25_000; // a stream carries a comment every 10 s: after so long it is dead
const PROBE_MS = 60_000; // a WebSocket is tried so often, and
const SOON_MS = 2_000; // so soon: it was perhaps only the server that was away

type Asked = Op & { id: number };
const part = (op: Op, field: string): string => encodeURIComponent(String(op[field]));

/** Operations as requests: the method, and what follows the path of the session. */
const REQUESTS: Record<string, (op: Op) => [method: string, path: string]> = {
  create: () => ["POST", ""],
  rename: () => ["PATCH", ""],
  delete: () => ["DELETE", ""],
  append: () => ["POST", "/events"],
  send: () => ["POST", "/messages"],
  cancel: () => ["POST", "/cancel"],
  steer: (op) => ["POST", `/runs/${part(op, "run")}/steer`],
  interrupt: () => ["POST", "/interrupt"],
  resolve: (op) => ["POST", `/approvals/${part(op, "approval")}`],
  regenerate: (op) => ["POST", `/messages/${part(op, "input")}/regenerate`],
  select: () => ["POST", "/branch"],
  take: () => ["POST", "/take"],
  give_back: () => ["POST", "/give_back"],
  read: () => ["PUT", "/read"],
  history: (op) => ["GET", `/history/${part(op, "page")}${op["incarnation"] ? `?incarnation=${part(op, "incarnation")}` : ""}`],
};
/** People's control does not wait for what was asked before it. */
const AT_ONCE = /^(cancel|steer|interrupt|resolve|take|history|read)$/;

const lost = (message: string): WireError => ({ code: "connection.lost", message, retry: true });

/** Called when HTTP does not work either, and, with a callback, to try whether a WebSocket can be opened. */
export type Leave = (whenOpen?: () => void) => void;

/** Dials over HTTP. */
export const sseDial = (http: Http, leave: Leave, probeMs = PROBE_MS): Dial =>
  (hello, sink) => new SseTransport(http, hello, sink, leave, probeMs);

class SseTransport implements Transport {
  readonly kind = "sse";
  readonly #http: Http;
  readonly #sink: Sink;
  #token: string;
  readonly #ended = new AbortController();
  readonly #streams = new Map<string, AbortController>();
  readonly #before = new Map<string, Promise<unknown>>(); // by session: what was asked last
  readonly #probe: ReturnType<typeof setInterval>;
  readonly #soon: ReturnType<typeof setTimeout>;
  #list: ReturnType<typeof setInterval> | undefined;
  #rows = new Map<string, string>();

  constructor(http: Http, { token }: Hello, sink: Sink, leave: Leave, probeMs: number) {
    this.#http = http;
    this.#token = token;
    this.#sink = sink;
    const probe = () => leave(() => this.#lost(lost("A WebSocket can be opened again.")));
    this.#probe = setInterval(probe, probeMs);
    this.#soon = setTimeout(probe, Math.min(SOON_MS, probeMs));
    this.#welcome(token).catch((error: unknown) => {
      leave();
      this.#lost(wireOf(error));
    });
  }

  async #welcome(token: string): Promise<void> {
    await this.#ask("/v1/sessions?limit=1");
    const { sub = "", tenant = "", exp } = claimsOf(token);
    this.#say({
      op: "welcome", principal: sub, tenant, expires_ms: exp ? exp * 1_000 : null, connection: "", limits: {},
    });
  }

  send(message: object): void {
    const op = message as Asked;
    this.#do(op).then(
      (answer) => answer && this.#say({ ...answer, op: "ok", id: op.id }),
      (error: unknown) => {
        const wire = wireOf(error);
        if (wire.code === "connection.lost") this.#lost(wire);
        else this.#say({ op: "error", id: op.id, error: wire });
      },
    );
  }

  close(): void {
    this.#ended.abort();
    clearInterval(this.#probe);
    clearTimeout(this.#soon);
    clearInterval(this.#list);
    for (const stream of this.#streams.values()) stream.abort();
  }

  #say(message: ServerMessage): void {
    if (!this.#ended.signal.aborted) this.#sink.received(message, 0);
  }

  #lost(error: WireError): void {
    if (this.#ended.signal.aborted) return;
    this.close();
    this.#sink.lost(error);
  }

  async #ask(path: string, init: RequestInit = {}): Promise<any> {
    return (await ask(this.#http, this.#token, path, { signal: this.#ended.signal, ...init })).json();
  }

  // --- operations
  /** The answer, or null when it was said already. */
  async #do(op: Asked): Promise<Answer | null> {
    switch (op.op) {
      case "ping":
        await this.#ask("/v1/sessions?limit=1");
        return {};
      case "auth": {
        this.#token = op["token"] as string;
        const { exp } = claimsOf(this.#token);
        return { expires_ms: exp ? exp * 1_000 : null };
      }
      case "watch":
        this.#rows = new Map();
        clearInterval(this.#list);
        this.#list = setInterval(() => void this.#look().catch(() => {}), LIST_MS);
        await this.#look();
        return {};
      case "unwatch":
        clearInterval(this.#list);
        return {};
      case "subscribe":
        await this.#follow(op.session!, op["start"] as Start, op.id);
        return null;
      case "unsubscribe":
        this.#streams.get(op.session!)?.abort();
        return {};
      case "presence": // is of connections, and this is none: nobody hears what the person does here
        return {};
      default:
        return this.#request(op);
    }
  }

  async #request({ id: _, op, session, ...fields }: Asked): Promise<Answer> {
    const [method, path] = REQUESTS[op]!({ op, ...fields });
    const before = AT_ONCE.test(op) ? undefined : this.#before.get(session!);
    const done = (async () => {
      await before?.catch(() => {});
      const init = { method, headers: { "content-type": "application/json" } };
      if (method === "GET") return this.#ask(sessionPath(session!) + path);
      if (op === "create") return this.#ask("/v1/sessions", { ...init, body: JSON.stringify({ session, ...fields }) });
      return this.#ask(sessionPath(session!) + path, { ...init, body: JSON.stringify(fields) });
    })();
    if (!AT_ONCE.test(op)) this.#before.set(session!, done);
    return done;
  }

  /** What of the list of sessions has changed since it was looked at last. */
  async #look(): Promise<void> {
    const { sessions } = (await this.#ask("/v1/sessions?limit=100")) as { sessions: SessionRow[] };
    const now = new Map(sessions.map((row) => [row.session, JSON.stringify(row)]));
    const rows = sessions.filter((row) => this.#rows.get(row.session) !== now.get(row.session));
    const removed = [...this.#rows.keys()].filter((session) => !now.has(session));
    const first = !this.#rows.size;
    this.#rows = now;
    if (first || rows.length || removed.length) this.#say({ op: "sessions", rows, removed });
  }

  // --- streams
  async #follow(session: string, start: Start, id: number): Promise<void> {
    this.#streams.get(session)?.abort();
    const stream = new AbortController();
    this.#streams.set(session, stream);
    const path = `${sessionPath(session)}/events`;
    const after = typeof start === "string" ? null : start;
    // the stream does not say where the log ends; for a cursor it is asked for, else the first message says it
    const tail = after && ((await this.#ask(`${path}?after=${after.seq}&max_bytes=1`).catch(unlessLost)) as Answer | null);
    const where = after ? `cursor=${encodeURIComponent(`${after.incarnation}:${after.seq}`)}` : `start=${String(start)}`;
    const headers = { accept: "text/event-stream" };
    const response = await ask(this.#http, this.#token, `${path}?${where}`, { signal: stream.signal, headers })
      .catch((error: unknown) => (stream.signal.aborted ? null : Promise.reject(error))); // another subscribe came
    if (!response) return;
    if (tail) this.#say({ op: "ok", id, incarnation: tail["incarnation"], tail: tail["tail"] });
    void this.#read(response.body!, stream, session, tail ? null : id).catch(
      (error: unknown) => stream.signal.aborted || this.#lost(wireOf(error)),
    );
  }

  async #read(body: ReadableStream<Uint8Array>, stream: AbortController, session: string, asked: number | null): Promise<void> {
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let text = "";
    let over = false;
    let unanswered = asked;
    for (;;) {
      const silence = setTimeout(() => this.#lost(lost("The stream fell silent.")), SILENCE_MS);
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
          this.#say({ op: "ok", id: unanswered, incarnation: message.incarnation, tail: message.seq });
          unanswered = null;
        }
        if (unanswered === null || message.op === "presence") this.#say({ session, ...message });
        if (message.op === "closed") over = true;
      }
    }
    if (!over) this.#lost(lost("The stream ended."));
  }
}

/** Only a lost connection matters: whatever else is wrong, the stream itself says. */
function unlessLost(error: unknown): null {
  if (wireOf(error).code === "connection.lost") throw error;
  return null;
}
