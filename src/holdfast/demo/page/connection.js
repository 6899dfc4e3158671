// One connection that carries every session of the page, and comes back by itself when it is lost.
// What a caller gets: an operation is answered or refused; one with a key is done once, however often the connection
// breaks in between, and even when the page is reloaded before the answer came.

const BASE_MS = 250;
const CAP_MS = 10_000;
const PING_MS = 5_000;
const SILENCE_MS = 10_000;
const OUTBOX = "holdfast.outbox";

/** Operations that mean something to one connection only: lost with it, and begun anew by their owners. */
const OF_THE_CONNECTION = new Set(["auth", "ping", "watch", "unwatch", "subscribe", "unsubscribe", "presence"]);
const UNKEYED = new Set([...OF_THE_CONNECTION, "history", "read"]);

/** Close codes that a retry with the same token does not cure. */
const REFUSALS = { 4400: "malformed", 4401: "no token", 4403: "denied", 4410: "expired", 4411: "revoked", 4413: "origin" };

/** A key for an operation: 128 random bits. Works without a secure context, on a phone in the same network. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Connection {
  /** `status`: "connecting", "open", "offline", or "refused" with `refusal` saying why. */
  constructor({ url, token, surface, device, storage = sessionStorage }) {
    Object.assign(this, { url, token, surface, device, storage });
    this.status = "offline";
    this.refusal = "";
    this.welcome = null;
    this.latencyMs = null;
    this.retryAt = 0;
    this.heldUntil = 0; // cut on purpose until then
    this.listeners = new Map();
    this.pending = new Map(); // id → {op, resolve, reject}
    this.nextId = 1;
    this.failures = 0;
    this.socket = null;
    this.timer = 0;
    this.heardAt = 0;
    for (const op of JSON.parse(storage.getItem(OUTBOX) ?? "[]")) this.request(op).catch(() => {});
    addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
    setInterval(() => this.beat(), PING_MS);
  }

  /** Call back on "status", "welcome", "outbox", or a server message by its `op`. */
  on(name, callback) {
    if (!this.listeners.has(name)) this.listeners.set(name, []);
    this.listeners.get(name).push(callback);
  }

  emit(name, ...what) {
    for (const callback of this.listeners.get(name) ?? []) callback(...what);
  }

  // --- operations
  /** Do an operation; resolves with its result, rejects with `{code, message, fix, retry}`. */
  request(op) {
    if (!UNKEYED.has(op.op) && op.key === undefined) op.key = newKey();
    if (OF_THE_CONNECTION.has(op.op) && this.status !== "open") return Promise.reject(lost());
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      this.pending.set(id, { op, resolve, reject, at: performance.now() });
      if (this.status === "open") this.write(id, op);
      this.keepOutbox(op);
    });
  }

  /** Keyed operations without an answer yet, in order: what the page shows as being sent. */
  outbox() {
    return [...this.pending.values()].map(({ op }) => op).filter((op) => op.key !== undefined);
  }

  keepOutbox(op) {
    if (op.key === undefined) return;
    this.storage.setItem(OUTBOX, JSON.stringify(this.outbox()));
    this.emit("outbox");
  }

  write(id, op) {
    this.socket.send(JSON.stringify({ ...op, id }));
  }

  answered(id, settle) {
    const known = this.pending.get(id);
    if (known === undefined) return;
    this.pending.delete(id);
    if (known.op.op === "ping") this.latencyMs = performance.now() - known.at;
    settle(known);
    this.keepOutbox(known.op);
  }

  refused({ id, error }) {
    const known = this.pending.get(id);
    if (known !== undefined && error.retry && !OF_THE_CONNECTION.has(known.op.op)) { // a refusal that may pass
      const wait = Math.max((error.retry_after_s ?? 0) * 1000, Math.random() * 1000 + 250);
      setTimeout(() => this.pending.has(id) && this.status === "open" && this.write(id, known.op), wait);
    } else if (known !== undefined) {
      this.answered(id, ({ reject }) => reject(error));
    } else if (id === undefined) {
      this.refusal = error.message;
    }
  }

  // --- life
  /** Connect, and stay connected. */
  open() {
    clearTimeout(this.timer);
    if (this.socket !== null || this.status === "refused") return;
    this.setStatus("connecting");
    const socket = this.socket = new WebSocket(this.url, "holdfast.v1");
    socket.onopen = () => {
      const { token, surface, device } = this;
      socket.send(JSON.stringify({ op: "hello", id: 0, token, surface, device }));
    };
    socket.onmessage = ({ data }) => this.received(JSON.parse(data), data.length);
    socket.onclose = ({ code, reason }) => this.lost(code, reason);
    this.heardAt = performance.now();
  }

  received(message, size) {
    this.heardAt = performance.now();
    const { op, id, ...result } = message;
    if (op === "welcome") this.welcomed(message);
    else if (op === "ok") this.answered(id, ({ resolve }) => resolve(result));
    else if (op === "error") this.refused(message);
    else if (op === "goaway") this.goawayMs = (message.retry_after_s ?? 0) * 1000;
    else this.emit(op, message, size);
  }

  welcomed(welcome) {
    this.welcome = welcome;
    this.failures = 0;
    const again = [...this.pending];
    this.setStatus("open");
    this.emit("welcome", welcome); // owners subscribe first, so that answers find their sessions
    for (const [id, { op }] of again) this.write(id, op);
    this.beat();
  }

  /** The socket is gone: fail what belonged to it, and try again a little later, with full jitter. */
  lost(code, reason) {
    this.forget();
    for (const [id, { op, reject }] of this.pending) {
      if (!OF_THE_CONNECTION.has(op.op)) continue;
      this.pending.delete(id);
      reject(lost());
    }
    this.latencyMs = null;
    if (code in REFUSALS) {
      this.refusal = REFUSALS[code];
      this.setStatus("refused");
      return;
    }
    const jittered = Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** this.failures);
    this.failures += 1;
    const held = Math.max(0, this.heldUntil - Date.now());
    const wait = held + jittered + (this.goawayMs ?? 0);
    this.goawayMs = 0;
    this.retryAt = Date.now() + wait;
    this.setStatus("offline");
    this.timer = setTimeout(() => this.open(), wait);
  }

  /** Stop listening to a socket that is no longer ours. */
  forget() {
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) socket.onopen = socket.onmessage = socket.onclose = null;
    return socket;
  }

  /** Drop the connection without a word to anybody in this page, and stay away for `ms`. */
  cut(ms = 0) {
    this.heldUntil = Date.now() + ms;
    const socket = this.forget();
    if (socket === null) return;
    socket.close();
    this.lost(1006, "cut");
  }

  /** The network may be back, or somebody looks again: do not wait for the timer. */
  wake() {
    if (this.status === "offline" && Date.now() >= this.heldUntil) this.open();
    else if (this.status === "open") this.beat();
  }

  /** Measure, and notice a connection that only looks open. */
  beat() {
    if (this.socket === null) return;
    const waited = [...this.pending.values()].find(({ op }) => op.op === "ping");
    const silent = performance.now() - this.heardAt > SILENCE_MS;
    if (silent && (this.status === "connecting" || waited !== undefined)) this.cut();
    else if (this.status === "open" && waited === undefined) this.request({ op: "ping" }).catch(() => {});
  }

  setStatus(status) {
    this.status = status;
    this.emit("status", status);
  }
}

const lost = () => ({ code: "connection.lost", message: "The connection was lost before an answer came.", retry: true });
