// Owns one connection that carries many sessions, and comes back by itself when it is lost. What a caller gets: an
// operation is answered, refused or timed out; one with a key is done once, however often the connection breaks.

import { delayMs } from "./backoff.js";
import { HoldfastError, lost, type WireError } from "./errors.js";
import { newKey, Outbox, type Done, type Keep } from "./outbox.js";
import type { Answer, Op, ServerMessage, Welcome } from "./protocol.js";
import type { Recovery } from "./recovery.js";
import { unsendable } from "./sendable.js";
import { fetchToken, refreshInMs, type TokenSource } from "./token.js";
import type { Dial, Hello, Transport } from "./transport.js";

const PING_MS = 5_000; // between two pings, and for the answer: a half-open connection is found within 15 s (SUB-7)
const WELCOME_MS = 10_000;

/** Operations that mean something to one connection only: lost with it, and begun anew by their owners. */
const OF_THE_CONNECTION = /^(auth|ping|watch|unwatch|subscribe|unsubscribe|presence)$/;
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

/** Who is told what happens on a connection. */
export interface Listener {
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
  keep: Keep | null;
  name: string;
}

const asError = (error: WireError | HoldfastError): HoldfastError =>
  error instanceof HoldfastError ? error : new HoldfastError(error);
const cutOff = (): HoldfastError => new HoldfastError(lost("The connection was lost before an answer came."));

export class Connection {
  readonly listeners = new Set<Listener>();
  readonly outbox: Outbox;
  welcome: Welcome | null = null;
  /** Why it ended for good, or null while it is in use. */
  error: HoldfastError | null = null;
  status: Status = {
    state: "offline", transport: null, attempts: 0, retryAt: null, rttMs: null, error: null, recovery: null,
  };
  readonly #options: ConnectionOptions;
  readonly #dial: Dial;
  readonly #behind = new Set<object>();
  readonly #ended = new AbortController();
  readonly #beat: ReturnType<typeof setInterval>;
  #transport: Transport | null = null;
  #connected = false;
  #life = 0; // number of the present transport; what older ones say means nothing
  #since = 0;
  #pinged = 0; // when, while its answer is awaited
  #goawayMs = 0;
  #heldUntil = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #refresh: ReturnType<typeof setTimeout> | undefined;

  constructor(dial: Dial, options: ConnectionOptions) {
    this.#dial = dial;
    this.#options = options;
    this.outbox = new Outbox(options.keep, `holdfast.outbox ${options.name}`, () => this.tell("outbox"));
    this.#beat = setInterval(() => this.#check(), PING_MS);
    const { signal } = this.#ended;
    const wake = () => this.wake();
    const hide = () => this.tell("hidden");
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

  tell(what: "lost" | "status" | "outbox" | "hidden"): void {
    for (const listener of [...this.listeners]) listener[what]?.();
  }

  // --- operations
  /** Do an operation; resolves with its answer. Refusals that may pass are tried again with the same key. */
  request(op: Op, { timeoutMs = this.#options.timeoutMs }: RequestOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const id = this.post(op, (error, answer) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve(answer);
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
  post(op: Op, done: Done = () => {}): number | undefined {
    const passing = OF_THE_CONNECTION.test(op.op);
    if (this.error || (passing && !this.#connected)) return void done(this.error ?? cutOff(), {});
    const refused = unsendable(op);
    if (refused) return void done(refused, {});
    const id = this.outbox.add(passing || UNKEYED.test(op.op) ? op : { ...op, key: op.key ?? newKey() }, done);
    this.#write(id);
    return id;
  }

  #write(id: number): void {
    const known = this.outbox.waiting.get(id);
    if (known && this.#connected) this.#transport!.send({ ...known.op, id });
  }

  #refused(id: number | undefined, wire: WireError): void {
    const known = this.outbox.waiting.get(id!);
    const asked = Number(wire["retry_after_s"] ?? 0) * 1_000;
    if (!known) {
      this.#goawayMs = asked;
      if (!this.#connected) this.#gone(wire);
    } else if (wire.retry && !OF_THE_CONNECTION.test(known.op.op)) {
      setTimeout(() => this.#write(id!), Math.max(asked, 250 + delayMs(2)));
    } else {
      this.outbox.take(id!)!.done(new HoldfastError(wire), {});
    }
  }

  // --- life
  /** Connect now, unless connected: also after it ended for good. */
  open(): void {
    clearTimeout(this.#retry);
    if (this.#transport || this.#ended.signal.aborted) return;
    this.error = null;
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const life = ++this.#life;
    const mine = () => life === this.#life;
    this.#since = Date.now();
    try {
      const token = await fetchToken(this.#options.token);
      if (!mine()) return;
      const hello: Hello = { token, surface: this.#options.surface, device: this.#options.device };
      this.#transport = this.#dial(hello, {
        received: (message, size) => mine() && this.#received(message, size),
        lost: (error) => mine() && this.#gone(error),
      });
    } catch (error) {
      if (mine()) this.#gone(error instanceof HoldfastError ? error : lost(String(error)));
    }
  }

  #received(message: ServerMessage, size: number): void {
    if (message.op === "ok") {
      const { op: _, id, ...answer } = message;
      const known = this.outbox.take(id);
      known?.done(null, answer);
    } else if (message.op === "error") {
      this.#refused(message.id, message.error);
    } else if (message.op === "welcome") {
      this.#welcomed(message);
    } else {
      if (message.op === "goaway") this.#goawayMs = (message.retry_after_s ?? 0) * 1_000;
      for (const listener of [...this.listeners]) listener.received?.(message, size);
    }
  }

  #welcomed(welcome: Welcome): void {
    const other = this.welcome && this.welcome.principal !== welcome.principal; // nobody speaks for somebody else
    if (other) for (const id of [...this.outbox.waiting.keys()]) this.outbox.take(id)!.done(cutOff(), {});
    this.welcome = welcome;
    this.#connected = true;
    const again = [...this.outbox.waiting.keys()];
    for (const op of this.outbox.claim(welcome.principal)) this.post(op);
    for (const id of again) this.#write(id); // before its readers come back: it may create their session
    for (const listener of [...this.listeners]) listener.welcomed?.(welcome);
    this.#pinged = 0;
    this.#check();
    this.#keepFresh(welcome.expires_ms);
    this.#show({ attempts: 0, retryAt: null, error: null });
  }

  /** Replace the token on the open connection before it expires (ACC-4). */
  #keepFresh(expiresMs: unknown): void {
    clearTimeout(this.#refresh);
    const { token } = this.#options;
    if (typeof expiresMs !== "number" || typeof token !== "function") return;
    this.#refresh = setTimeout(async () => {
      try {
        const answer = await this.request({ op: "auth", token: await fetchToken(token) });
        this.#keepFresh(answer["expires_ms"]);
      } catch {
        if (this.#connected) this.#keepFresh(expiresMs); // expiry closes the connection otherwise
      }
    }, refreshInMs(expiresMs));
  }

  #gone(wire: WireError | HoldfastError): void {
    const error = asError(wire);
    this.#life++;
    this.#transport?.close();
    this.#transport = null;
    this.#connected = false;
    clearTimeout(this.#refresh);
    for (const [id, { op }] of [...this.outbox.waiting]) {
      if (OF_THE_CONNECTION.test(op.op)) this.outbox.take(id)!.done(cutOff(), {});
    }
    const renewable = typeof this.#options.token === "function" && this.welcome;
    if (!error.retry && !renewable) return this.#giveUp(error);
    const { attempts } = this.status;
    const wait = Math.max(0, this.#heldUntil - Date.now()) + this.#goawayMs + delayMs(attempts);
    this.#goawayMs = 0;
    this.#retry = setTimeout(() => this.open(), wait);
    this.tell("lost");
    this.#show({ attempts: attempts + 1, retryAt: Date.now() + wait, rttMs: null, error });
  }

  #giveUp(error: HoldfastError): void {
    this.error = error;
    this.tell("lost");
    for (const id of [...this.outbox.waiting.keys()]) this.outbox.take(id)!.done(error, {});
    this.#show({ retryAt: null, rttMs: null, error });
  }

  /** Drop the connection, and stay away for `ms`. */
  cut(ms = 0): void {
    this.#heldUntil = Date.now() + ms;
    if (!this.error) {
      clearTimeout(this.#retry);
      this.#gone(lost("The connection was cut."));
    }
  }

  /** The network may be back, or somebody looks again: do not wait for the timer. */
  wake(): void {
    if (this.#connected) this.#check();
    else if (!this.error && Date.now() >= this.#heldUntil) this.open();
  }

  /** Close for good: what waits for an answer fails with `connection.lost`. Nothing is cancelled by it (CTL-1). */
  close(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    clearInterval(this.#beat);
    clearTimeout(this.#retry);
    this.#life++;
    clearTimeout(this.#refresh);
    this.#transport?.close();
    this.#transport = null;
    this.#connected = false;
    this.#giveUp(this.error ?? cutOff());
  }

  /** Measure, and notice a connection that only looks open. */
  #check(): void {
    const now = Date.now();
    if (!this.#transport) return;
    if (!this.#connected) {
      if (now - this.#since > WELCOME_MS) this.#gone(lost("The server is silent."));
    } else if (!this.#pinged) {
      this.#pinged = now;
      this.post({ op: "ping" }, (error) => {
        this.#pinged = 0;
        if (!error) this.#show({ rttMs: Date.now() - now });
      });
    } else if (now - this.#pinged >= PING_MS) {
      this.#gone(lost("The server is silent."));
    }
  }

  // --- status
  /** A reader is behind the tail, or has caught up: part of the status. */
  markBehind(reader: object, behind: boolean): void {
    if (behind) this.#behind.add(reader);
    else this.#behind.delete(reader);
    this.#show({});
  }

  recovered(recovery: Recovery): void {
    this.#show({ recovery });
  }

  #show(changed: Partial<Status>): void {
    const state = !this.#connected ? "offline" : this.#behind.size ? "catching-up" : "live";
    const transport = this.#connected ? this.#transport!.kind : null;
    const next: Status = { ...this.status, ...changed, state, transport };
    const same = (Object.keys(next) as (keyof Status)[]).every((name) => next[name] === this.status[name]);
    if (same) return;
    this.status = next;
    this.tell("status");
  }
}
