// Owns the client: one connection, and the sessions it carries (SUB-6).

import { Connection, type Status } from "./connection.js";
import { lazyDial, serverDial } from "./dial.js";
import { Emitter } from "./emitter.js";
import { HoldfastError } from "./errors.js";
import { Feed } from "./feed.js";
import type { HttpEndpoint } from "./http.js";
import { SessionList } from "./list.js";
import { newKey, type StorageLike } from "./outbox.js";
import { Session } from "./session.js";
import { pageStorage } from "./store.js";
import type { TabDialer, TabLocks } from "./tabs.js";
import type { Dial } from "./transport.js";
import type { WebSocketLike } from "./websocket.js";

export interface ConnectOptions {
  /** An access token. Prefer `getToken`: a token expires. */
  token?: string;
  /** Fetches a token; called on every connect, and before the token expires. */
  getToken?: () => string | Promise<string>;
  /** What the person uses, shown to others as presence, such as "web" and "phone". */
  surface?: string;
  device?: string;
  /** How long a call waits for its answer, milliseconds: 30 000. `Infinity` waits over any outage. */
  timeoutMs?: number;
  /** Where cursors, views and what is being sent survive a reload: this tab's `sessionStorage`; null for nowhere. */
  storage?: StorageLike | null;
  /** A WebSocket constructor, where there is no global one (Node 20: that of `ws`). */
  WebSocket?: WebSocketLike;
  fetch?: HttpEndpoint["fetch"];
  /** Whether tabs of one browser, as the same principal, share one connection: true, where the browser can. */
  tabs?: boolean;
  /** The locks tabs agree by, instead of `navigator.locks`. */
  locks?: TabLocks;
  /** Whether HTTP may stand in where WebSockets are blocked or missing: true. */
  fallback?: boolean;
  /** What carries messages, instead of a WebSocket. */
  dial?: Dial;
}

/** Connect to a server, `http(s)://host[:port]`; in a page, "" is the page's own. It connects at once, and stays so. */
export const connect = (server: string, options: ConnectOptions): Client => new Client(server, options);

/** What `connect` gives. Fires `status`. */
export class Client extends Emitter<"status"> {
  /** Where the server is. */
  readonly server: string;
  readonly connection: Connection;
  /** Where blobs and the fall-back without WebSockets are asked for. */
  readonly http: HttpEndpoint;
  readonly #storage: StorageLike | null;
  readonly #sessions = new Map<string, Session>();
  #list: SessionList | undefined;
  #tabs: TabDialer | undefined;

  constructor(server: string, options: ConnectOptions) {
    super();
    this.server = (server || globalThis.location.origin).replace(/\/$/, "").replace(/^ws/, "http");
    const { surface = "", device = "", timeoutMs = 30_000 } = options;
    this.#storage = options.storage === undefined ? pageStorage() : options.storage;
    const token = options.getToken ?? options.token ?? "";
    this.http = { server: this.server, token, fetch: options.fetch ?? globalThis.fetch.bind(globalThis) };
    const direct = options.dial ?? serverDial(this.http, options.WebSocket ?? globalThis.WebSocket, options.fallback ?? true);
    const name = this.server;
    const connectionOptions = { token, surface, device, timeoutMs, storage: this.#storage, name };
    const locks = options.locks ?? globalThis.navigator?.locks;
    const sharesConnection = options.tabs !== false && locks && globalThis.BroadcastChannel;
    const newConnection = () => new Connection(direct, { ...connectionOptions, storage: null });
    const load = async () => (this.#tabs ??= new (await import("./tabs.js")).TabDialer(name, locks, direct, newConnection, Feed)).dial;
    this.connection = new Connection(sharesConnection ? lazyDial(load) : direct, connectionOptions);
    this.connection.listeners.add({
      welcomed: (welcome) => this.#each(({ listener }) => listener.welcomed!(welcome)),
      lost: () => this.#each(({ listener }) => listener.lost!()),
      received: (message, size) => {
        if ("session" in message) this.#sessions.get(message.session as string)?.listener.received!(message, size);
      },
      outbox: () => this.#each(({ listener }) => listener.outbox!()),
      status: () => this.emit("status"),
      hidden: () => this.#each((session) => session.persist()),
    });
  }

  // --- the connection
  /** How the connection stands: a new object whenever that changes. */
  get status(): Status {
    return this.connection.status;
  }

  /** The actor the server knows this client as; "" before the first connect. */
  get principal(): string {
    return this.connection.welcome?.principal ?? "";
  }

  /** Wait for the first connect. Rejects when the server does not want this token. */
  ready(): Promise<this> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (this.connection.connected) resolve(this);
        else if (this.connection.error) reject(this.connection.error);
        else return;
        end();
      };
      const end = this.on("status", check);
      check();
    });
  }

  /** Try now, instead of at the next planned time; also after it ended for good. */
  reconnect(): void {
    this.connection.open();
  }

  /** Drop the connection without a word, and stay away for `ms`: to see what a recovery comes to. */
  cut(ms = 0): void {
    this.connection.cut(ms);
  }

  /** Close for good. Nothing else happens by that: no run is cancelled (CTL-1). */
  close(): void {
    this.#each((session) => session.persist());
    this.connection.close();
    this.#tabs?.close();
  }

  // --- sessions
  /** A session by id: always the same object; nothing is asked of the server yet. */
  session(id: string): Session {
    let session = this.#sessions.get(id);
    if (!session) {
      if (!/^\w[\w.~:-]{0,127}$/.test(id)) {
        throw new HoldfastError({ code: "input.session_id", message: `session: ${id}`, fix: "Use 1 to 128 of A-Za-z0-9._~:-" });
      }
      this.#sessions.set(id, (session = new Session(this.connection, id, this.#storage, this.server)));
    }
    return session;
  }

  /** Create a session, with a random id unless named. Rejects with `session.exists` when it has other settings. */
  async create(
    settings: { session?: string; title?: string; agent?: string; meta?: Record<string, unknown> } = {},
  ): Promise<Session> {
    const { session: id = `s-${newKey()}`, ...rest } = settings;
    const session = this.session(id);
    await session.create(rest);
    return session;
  }

  /** The live list of the principal's sessions (SUB-8); `all`, said the first time: of the tenant's, for its admins. */
  sessions({ all = false } = {}): SessionList {
    return (this.#list ??= new SessionList(this.connection, all));
  }

  #each(callback: (session: Session) => void): void {
    for (const session of [...this.#sessions.values()]) callback(session);
  }
}
