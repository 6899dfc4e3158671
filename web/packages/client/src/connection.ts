// Owns one connection that carries many sessions, and comes back by itself when it is lost. What a caller gets: an
// operation is answered, refused or timed out; one with a key is done once, however often the connection breaks.

import { delayMs } from "./backoff.js";
import { connectionLost, HoldfastError, type WireError } from "./errors.js";
import { newKey, type OpCallback, Outbox, type StorageLike } from "./outbox.js";
import type { Op, OpResult, ServerMessage, Welcome } from "./protocol.js";
import type { Recovery } from "./recovery.js";
import { sendError } from "./sendable.js";
import { fetchToken, refreshInMs, type TokenSource } from "./token.js";
import type { Dial, Hello, Transport } from "./transport.js";

const PING_MS = 5_000; // between two pings, and for the answer: a half-open connection is found within 15 s (SUB-7)
const WELCOME_MS = 10_000;

/** Operations that mean something to one connection only: lost with it, and sent anew by their owners. */
const CONNECTION_SCOPED = /^(auth|ping|watch|unwatch|subscribe|unsubscribe|presence)$/;
const UNKEYED = /^(history|read)$/;

/** How the connection stands, for a page to show. A new object whenever it changes. */
export interface Status {
  /** `live`: all that is followed is up to date. */
  readonly state: "live" | "catching-up" | "offline";
  /** What carries it, while it is connected. */
  readonly transport: Transport["kind"] | null;
  /** Tries that failed since it was last connected. */
  readonly attempts: number;
  /** Unix ms of the next try, while one is planned. */
  readonly retryAt: number | null;
  /** Milliseconds to the server and back, once measured. */
  readonly rttMs: number | null;
  /** Why it ended for good, or why the last try failed. */
  readonly error: HoldfastError | null;
  /** What the last recovery of a session came to. */
  readonly recovery: Recovery | null;
}

/** Called back with what happens on a connection. */
export interface ConnectionListener {
  /** After every welcome; unanswered operations have been sent again. */
  welcomed?(welcome: Welcome): void;
  lost?(): void;
  received?(message: ServerMessage, size: number): void;
  status?(): void;
  outbox?(): void;
  /** Nobody looks at the page any more; it may never come back. */
  hidden?(): void;
}

export interface RequestOptions {
  /** How long to wait for an answer, milliseconds; `Infinity` waits over any outage. */
  timeoutMs?: number;
}

export interface ConnectionOptions {
  token: TokenSource;
  surface: string;
  device: string;
  timeoutMs: number;
  storage: StorageLike | null;
  name: string;
}

const asError = (error: WireError | HoldfastError): HoldfastError =>
  error instanceof HoldfastError ? error : new HoldfastError(error);
const lostError = (): HoldfastError => new HoldfastError(connectionLost("The connection was lost before an answer came."));

export class Connection {
  readonly listeners = new Set<ConnectionListener>();
  readonly outbox: Outbox;
  welcome: Welcome | null = null;
  /** Why it ended for good, or null while it is in use. */
  error: HoldfastError | null = null;
  status: Status = {
    state: "offline", transport: null, attempts: 0, retryAt: null, rttMs: null, error: null, recovery: null,
  };
  readonly #options: ConnectionOptions;
  readonly #dial: Dial;
  readonly #laggingReaders = new Set<object>();
  readonly #closed = new AbortController();
  readonly #heartbeat: ReturnType<typeof setInterval>;
  #transport: Transport | null = null;
  #connected = false;
  #transportId = 0; // number of the present transport; what older ones say means nothing
  #dialStarted = 0;
  #pingSent = 0; // when, while its answer is awaited
  #retryAfterMs = 0;
  #offlineUntil = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #refreshTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(dial: Dial, options: ConnectionOptions) {
    this.#dial = dial;
    this.#options = options;
    this.outbox = new Outbox(options.storage, `holdfast.outbox ${options.name}`, () => this.notify("outbox"));
    this.#heartbeat = setInterval(() => this.#checkLiveness(), PING_MS);
    const { signal } = this.#closed;
    const wake = () => this.wake();
    const hide = () => this.notify("hidden");
    const on = (target: EventTarget | undefined, name: string, callback: () => void) =>
      target?.addEventListener?.(name, callback, { signal });
    on(globalThis, "online", wake);
    on(globalThis, "pageshow", wake);
    on(globalThis, "pagehide", hide);
    on(globalThis.document, "visibilitychange", () => (document.hidden ? hide() : wake()));
    this.open();
  }

  get connected(): boolean {
    return this.#connected;
  }

  notify(event: "lost" | "status" | "outbox" | "hidden"): void {
    for (const listener of [...this.listeners]) listener[event]?.();
  }

  // --- operations
  /** Do an operation; resolves with its answer. Refusals that may pass are tried again with the same key. */
  request(op: Op, { timeoutMs = this.#options.timeoutMs }: RequestOptions = {}): Promise<OpResult> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const id = this.post(op, (error, result) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve(result);
      });
      if (id === undefined || timeoutMs === Infinity) return;
      timer = setTimeout(() => {
        const { key } = this.outbox.take(id)!.op;
        reject(new HoldfastError({
          code: "timeout", message: `${op.op}: no answer in ${timeoutMs} ms`, retry: true, key,
          fix: "Retry with the same key.",
        }));
      }, timeoutMs);
    });
  }

  /** Do an operation; `done` is called as soon as its answer is here. Returns its id while it waits. */
  post(op: Op, done: OpCallback = () => {}): number | undefined {
    const connectionScoped = CONNECTION_SCOPED.test(op.op);
    if (this.error || (connectionScoped && !this.#connected)) return void done(this.error ?? lostError(), {});
    const error = sendError(op);
    if (error) return void done(error, {});
    const id = this.outbox.add(connectionScoped || UNKEYED.test(op.op) ? op : { ...op, key: op.key ?? newKey() }, done);
    this.#transmit(id);
    return id;
  }

  #transmit(id: number): void {
    const pending = this.outbox.pending.get(id);
    if (pending && this.#connected) this.#transport!.send({ ...pending.op, id });
  }

  #handleError(id: number | undefined, wire: WireError): void {
    const pending = this.outbox.pending.get(id!);
    const retryAfterMs = Number(wire["retry_after_s"] ?? 0) * 1_000;
    if (!pending) {
      this.#retryAfterMs = retryAfterMs;
      if (!this.#connected) this.#handleLoss(wire);
    } else if (wire.retry && !CONNECTION_SCOPED.test(pending.op.op)) {
      setTimeout(() => this.#transmit(id!), Math.max(retryAfterMs, 250 + delayMs(2)));
    } else {
      this.outbox.take(id!)!.done(new HoldfastError(wire), {});
    }
  }

  // --- life
  /** Connect now, unless connected: also after it ended for good. */
  open(): void {
    clearTimeout(this.#retryTimer);
    if (this.#transport || this.#closed.signal.aborted) return;
    this.error = null;
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const id = ++this.#transportId;
    const isCurrent = () => id === this.#transportId;
    this.#dialStarted = Date.now();
    try {
      const token = await fetchToken(this.#options.token);
      if (!isCurrent()) return;
      const hello: Hello = { token, surface: this.#options.surface, device: this.#options.device };
      this.#transport = this.#dial(hello, {
        received: (message, size) => isCurrent() && this.#handleMessage(message, size),
        lost: (error) => isCurrent() && this.#handleLoss(error),
      });
    } catch (error) {
      if (isCurrent()) this.#handleLoss(error instanceof HoldfastError ? error : connectionLost(String(error)));
    }
  }

  #handleMessage(message: ServerMessage, size: number): void {
    if (message.op === "ok") {
      const { op: _, id, ...result } = message;
      const pending = this.outbox.take(id);
      pending?.done(null, result);
    } else if (message.op === "error") {
      this.#handleError(message.id, message.error);
    } else if (message.op === "welcome") {
      this.#handleWelcome(message);
    } else {
      if (message.op === "goaway") this.#retryAfterMs = (message.retry_after_s ?? 0) * 1_000;
      for (const listener of [...this.listeners]) listener.received?.(message, size);
    }
  }

  #handleWelcome(welcome: Welcome): void {
    const principalChanged = this.welcome && this.welcome.principal !== welcome.principal; // nobody speaks for somebody else
    if (principalChanged) for (const id of [...this.outbox.pending.keys()]) this.outbox.take(id)!.done(lostError(), {});
    this.welcome = welcome;
    this.#connected = true;
    const unanswered = [...this.outbox.pending.keys()];
    for (const op of this.outbox.claim(welcome.principal)) this.post(op);
    for (const id of unanswered) this.#transmit(id); // before its readers come back: it may create their session
    for (const listener of [...this.listeners]) listener.welcomed?.(welcome);
    this.#pingSent = 0;
    this.#checkLiveness();
    this.#scheduleRefresh(welcome.expires_ms);
    this.#updateStatus({ attempts: 0, retryAt: null, error: null });
  }

  /** Replace the token on the open connection before it expires (ACC-4). */
  #scheduleRefresh(expiresMs: unknown): void {
    clearTimeout(this.#refreshTimer);
    const { token } = this.#options;
    if (typeof expiresMs !== "number" || typeof token !== "function") return;
    this.#refreshTimer = setTimeout(async () => {
      try {
        const result = await this.request({ op: "auth", token: await fetchToken(token) });
        this.#scheduleRefresh(result["expires_ms"]);
      } catch {
        if (this.#connected) this.#scheduleRefresh(expiresMs); // expiry closes the connection otherwise
      }
    }, refreshInMs(expiresMs));
  }

  #handleLoss(wire: WireError | HoldfastError): void {
    const error = asError(wire);
    this.#transportId++;
    this.#transport?.close();
    this.#transport = null;
    this.#connected = false;
    clearTimeout(this.#refreshTimer);
    for (const [id, { op }] of [...this.outbox.pending]) {
      if (CONNECTION_SCOPED.test(op.op)) this.outbox.take(id)!.done(lostError(), {});
    }
    const renewable = typeof this.#options.token === "function" && this.welcome;
    if (!error.retry && !renewable) return this.#giveUp(error);
    const { attempts } = this.status;
    const wait = Math.max(0, this.#offlineUntil - Date.now()) + this.#retryAfterMs + delayMs(attempts);
    this.#retryAfterMs = 0;
    this.#retryTimer = setTimeout(() => this.open(), wait);
    this.notify("lost");
    this.#updateStatus({ attempts: attempts + 1, retryAt: Date.now() + wait, rttMs: null, error });
  }

  #giveUp(error: HoldfastError): void {
    this.error = error;
    this.notify("lost");
    for (const id of [...this.outbox.pending.keys()]) this.outbox.take(id)!.done(error, {});
    this.#updateStatus({ retryAt: null, rttMs: null, error });
  }

  /** Drop the connection, and stay away for `ms`. */
  cut(ms = 0): void {
    this.#offlineUntil = Date.now() + ms;
    if (!this.error) {
      clearTimeout(this.#retryTimer);
      this.#handleLoss(connectionLost("The connection was cut."));
    }
  }

  /** The network may be back, or somebody looks again: do not wait for the timer. */
  wake(): void {
    if (this.#connected) this.#checkLiveness();
    else if (!this.error && Date.now() >= this.#offlineUntil) this.open();
  }

  /** Close for good: what waits for an answer fails with `connection.lost`. Nothing is cancelled by it (CTL-1). */
  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retryTimer);
    this.#transportId++;
    clearTimeout(this.#refreshTimer);
    this.#transport?.close();
    this.#transport = null;
    this.#connected = false;
    this.#giveUp(this.error ?? lostError());
  }

  /** Measure, and notice a connection that only looks open. */
  #checkLiveness(): void {
    const now = Date.now();
    if (!this.#transport) return;
    if (!this.#connected) {
      if (now - this.#dialStarted > WELCOME_MS) this.#handleLoss(connectionLost("The server is silent."));
    } else if (!this.#pingSent) {
      this.#pingSent = now;
      this.post({ op: "ping" }, (error) => {
        this.#pingSent = 0;
        if (!error) this.#updateStatus({ rttMs: Date.now() - now });
      });
    } else if (now - this.#pingSent >= PING_MS) {
      this.#handleLoss(connectionLost("The server is silent."));
    }
  }

  // --- status
  /** A reader is behind the tail, or has caught up: part of the status. */
  markBehind(reader: object, behind: boolean): void {
    if (behind) this.#laggingReaders.add(reader);
    else this.#laggingReaders.delete(reader);
    this.#updateStatus({});
  }

  reportRecovery(recovery: Recovery): void {
    this.#updateStatus({ recovery });
  }

  #updateStatus(changes: Partial<Status>): void {
    const state = !this.#connected ? "offline" : this.#laggingReaders.size ? "catching-up" : "live";
    const transport = this.#connected ? this.#transport!.kind : null;
    const next: Status = { ...this.status, ...changes, state, transport };
    const same = (Object.keys(next) as (keyof Status)[]).every((name) => next[name] === this.status[name]);
    if (same) return;
    this.status = next;
    this.notify("status");
  }
}
