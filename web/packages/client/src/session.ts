// Owns a session as an application uses it: read it, speak in it, control what runs in it.

import type { Connection, Listener, RequestOptions } from "./connection.js";
import { Followed } from "./emitter.js";
import type { HoldfastError } from "./errors.js";
import { Events } from "./events.js";
import { Feed } from "./feed.js";
import { LiveView, type ReadingStatus } from "./live.js";
import { type Keep } from "./outbox.js";
import type { Answer, Attachment, Cursor, Decision, Here, HistoryPage, Op, ServerMessage, Start } from "./protocol.js";
import type { Recovery } from "./recovery.js";
import { Run } from "./run.js";
import { forget, keep, kept } from "./store.js";
import type { View } from "./view.js";

/** Of every call that writes. */
export interface WriteOptions extends RequestOptions {
  /** Makes a retry safe: the same key with the same content is done once. Random unless given. */
  key?: string;
  /** The life of the session that is meant (LIFE-1): the one that is read here, unless it was read elsewhere. */
  incarnation?: string;
}

export interface SendOptions extends WriteOptions {
  /** Whom it is for, when not the session's own agent. */
  agent?: string;
  /** The input this replaces, on a new branch (CTL-7). */
  edits?: string;
  /** The input it continues. */
  parent?: string;
  /** The run that answered `parent`, where another one is shown. */
  answer?: string;
  attachments?: Attachment[];
  /** What your program keeps with the message: up to 64 KiB of JSON. */
  meta?: Record<string, unknown>;
  /** How often the run may be tried; 3 unless said otherwise. */
  attempts?: number;
  /** Do not wait for other runs of the agent in this session. */
  concurrent?: boolean;
  /** Only say it; no run. */
  silent?: boolean;
}

export interface InterruptOptions extends WriteOptions {
  run?: string;
  agent?: string;
  force?: boolean;
}

export interface CancelOptions extends WriteOptions {
  run?: string;
  /** The run of an input, even before it exists. */
  input?: string;
  /** Without a run or an input: my runs (the default), or all. */
  scope?: "mine" | "all";
  /** End it at once, without any grace. */
  force?: boolean;
  /** The run's version as it was seen. */
  version?: number;
  /** Why, for everybody who watches; at most 500 characters. */
  reason?: string;
}

export interface ResolveOptions extends WriteOptions {
  note?: string;
  /** Which action the person was shown: its `hash`. */
  hash?: string;
}

/**
 * One session, by id. Making it asks nothing of the server; `follow` keeps its `view` up to date.
 *
 * Every method that writes resolves when the server has made it durable, or rejects with a `HoldfastError` and nothing
 * was changed; only `timeout` leaves the outcome unknown, and the same call with the same `key` settles it.
 *
 * Fires `change` after the view, the status, who is here, or what is being sent has changed.
 */
export class Session extends Followed {
  readonly id: string;
  /** Who is here now, while the session is followed. */
  here: readonly Here[] = [];
  /** What the last recovery came to. */
  recovery: Recovery | null = null;
  /** The subscription that this session's readers share. */
  readonly feed: Feed;
  readonly #connection: Connection;
  readonly #storage: Keep | null;
  readonly #name: string;
  #live: LiveView;
  #announced = false;
  #read = 0;

  constructor(connection: Connection, id: string, storage: Keep | null, server: string) {
    super();
    this.id = id;
    this.#connection = connection;
    this.#storage = storage;
    this.#name = `holdfast.view ${server} ${id}`;
    this.feed = new Feed(connection, id);
    this.#live = this.#newLive();
  }

  // --- reading
  /** What a person sees of the session. It grows in place: look, do not change. */
  get view(): View {
    return this.#live.view;
  }

  /** How the reading stands. */
  get status(): ReadingStatus {
    return this.#live.status;
  }

  /** Why it cannot be read any more, or null. */
  get error(): HoldfastError | null {
    return this.#live.error;
  }

  /** The last event the view holds, or null before the first snapshot. */
  get cursor(): Cursor | null {
    const { incarnation, seq } = this.#live;
    return incarnation ? { incarnation, seq } : null;
  }

  /** The newest seq known of. */
  get tail(): number {
    return Math.max(this.feed.tail, this.#live.seq);
  }

  /** Operations on this session that have no answer yet, in order: what a page shows as being sent. */
  get sending(): Op[] {
    return this.#connection.outbox.keyed().filter(({ session }) => session === this.id);
  }

  protected begin(): void {
    if (this.error) this.#live = this.#newLive();
    const live = this.#live;
    live.become(this.#connection.connected ? "catching-up" : "offline");
    void live.ready().then(() => live.status !== "idle" && this.feed.add(live));
  }

  protected end(): void {
    this.keep();
    this.feed.remove(this.#live);
    if (!this.error) this.#live.status = "idle";
    this.here = [];
  }

  /** Wait until the view, up to date at least once, meets a condition. Rejects when the session cannot be read. */
  until(condition: (view: View) => boolean = () => true): Promise<View> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.error) reject(this.error);
        else if (this.status === "live" && condition(this.view)) resolve(this.view);
        else return;
        end();
      };
      const end = this.follow(look);
      queueMicrotask(look);
    });
  }

  /** The view as it is now, up to the tail. */
  state(): Promise<View> {
    return this.until();
  }

  /** Read event by event from a stored cursor, `"tail"`, or `"snapshot"`, for ever. */
  events(after: Start = "snapshot"): Events {
    return new Events(this.feed, after);
  }

  /** One page of older items; begin with `view.older`. */
  history(page: number): Promise<HistoryPage> {
    return this.#ask({ op: "history", page }) as Promise<unknown> as Promise<HistoryPage>;
  }

  /** The person has seen everything up to `seq`. */
  async read(seq = this.#live.seq): Promise<void> {
    if (seq <= this.#read) return;
    this.#read = seq;
    await this.#ask({ op: "read", seq });
  }

  /** Show others what the person does here now. Nothing happens while offline: presence is not kept. */
  async presence(doing: Record<string, unknown>): Promise<void> {
    if (this.#connection.connected) await this.#ask({ op: "presence", doing });
  }

  // --- life
  /** Create the session, or find that it exists with these settings. */
  async create(settings: { title?: string; agent?: string; meta?: Record<string, unknown> } = {}): Promise<void> {
    await this.#ask({ op: "create", ...settings });
    if (this.error) this.restart(); // whoever read it asked before it was there
  }

  /** Give the session a title. */
  async rename(title: string, options?: WriteOptions): Promise<void> {
    await this.#ask({ op: "rename", title }, options);
  }

  /** Erase the session. Needs `admin`. */
  async delete(options?: WriteOptions): Promise<void> {
    await this.#ask({ op: "delete" }, options);
  }

  // --- speaking
  /** Say something, and queue the run that answers it. */
  async send(text: string, options: SendOptions = {}): Promise<Run> {
    return this.#run(await this.#ask({ op: "send", text }, options));
  }

  /** Stop what runs (or one run), say something, and queue its run behind the end of the old ones (CTL-5). */
  async interrupt(text: string, options: InterruptOptions = {}): Promise<Run> {
    return this.#run(await this.#ask({ op: "interrupt", text }, options));
  }

  /** Answer an input again; the earlier answer stays as a sibling. `select`: show the branch that ends there. */
  async regenerate(input: string, options: WriteOptions & { agent?: string; select?: boolean } = {}): Promise<Run> {
    return this.#run(await this.#ask({ op: "regenerate", input }, options));
  }

  /** A run of this session, by id. */
  run(id: string, input?: string): Run {
    return new Run(this, id, input);
  }

  /** Append events outside any run, atomically; resolves with the positions of the first and the last. */
  async append(
    events: { type: string; data: Record<string, unknown> }[], options: WriteOptions & { expect?: Cursor } = {},
  ): Promise<{ first: number; last: number }> {
    const { first, last } = await this.#ask({ op: "append", events }, options);
    return { first: first as number, last: last as number };
  }

  // --- control
  /** Stop a run, the run of an input, my runs, or all (CTL-2); resolves with the runs that are being stopped. */
  async cancel({ scope = "mine", ...options }: CancelOptions = {}): Promise<string[]> {
    const named = options.run ? "run" : options.input ? "input" : scope;
    return ((await this.#ask({ op: "cancel", scope: named }, options))["runs"] ?? []) as string[];
  }

  /** Put words into a running run (CTL-4); resolves with the steer's id. */
  async steer(run: string, text: string, options?: WriteOptions): Promise<string> {
    return String((await this.#ask({ op: "steer", run, text }, options))["steerId"]);
  }

  /** Let the action happen. Rejects with `approval.resolved` (facts `by`, `decision`) when somebody was first. */
  approve(approval: string, options?: ResolveOptions): Promise<void> {
    return this.#resolve(approval, "approved", options);
  }

  /** Do not let the action happen; rejects as `approve` does. */
  deny(approval: string, options?: ResolveOptions): Promise<void> {
    return this.#resolve(approval, "denied", options);
  }

  async #resolve(approval: string, decision: Decision, options?: ResolveOptions): Promise<void> {
    await this.#ask({ op: "resolve", approval, decision }, options);
  }

  /** Show another branch: the one that ends at `input`, or the sibling answer `run`. */
  async select(options: WriteOptions & { input?: string; run?: string; version?: number }): Promise<void> {
    await this.#ask({ op: "select" }, options);
  }

  /** Take over from the agents (CTL-8). */
  async take(options?: WriteOptions & { force?: boolean }): Promise<void> {
    await this.#ask({ op: "take" }, options);
  }

  /** Give the session back to its agents. */
  async giveBack(options?: WriteOptions & { force?: boolean }): Promise<void> {
    await this.#ask({ op: "give_back" }, options);
  }

  // --- surviving a reload
  /** Keep the cursor and the view where a reload finds them. */
  keep(): void {
    const principal = this.#connection.welcome?.principal;
    const { view, error } = this;
    if (!this.#storage || error) return;
    if (this.cursor && principal) keep(this.#storage, this.#name, { ...this.cursor, principal, view });
  }

  // --- from the client
  /** What happens on the connection, as far as it concerns this session. */
  readonly heard: Listener = {
    welcomed: ({ principal }) => {
      if (this.#owner && this.#owner !== principal) this.feed.reset();
      this.#owner = principal;
      this.feed.back();
    },
    lost: () => {
      this.here = [];
      this.feed.lost();
    },
    received: (message: ServerMessage, size) => {
      if (message.op === "presence") {
        this.here = message.here;
        this.changed();
      } else {
        this.feed.received(message as Parameters<Feed["received"]>[0], size);
      }
    },
    outbox: () => this.changed(),
  };

  #owner = "";

  #newLive(): LiveView {
    const live = new LiveView(this.id, {
      changed: () => this.changed(),
      recovered: (recovery) => {
        this.recovery = recovery;
        this.#connection.recovered(recovery);
      },
    });
    const found = this.#storage && kept(this.#storage, this.#name);
    if (found) {
      live.restore(found.view, found.incarnation, found.seq);
      this.#owner = found.principal;
    }
    return live;
  }

  /** Tell listeners, once for all that changes in this turn of the event loop. */
  changed(): void {
    if (this.#announced) return;
    this.#announced = true;
    queueMicrotask(() => {
      this.#announced = false;
      if (this.error && this.#storage) forget(this.#storage, this.#name);
      this.emit("change");
    });
  }

  /** Ask what concerns the life of the session that is being read, and no other (LIFE-1). */
  #ask(op: Op, { timeoutMs, ...fields }: WriteOptions = {}): Promise<Answer> {
    const { status, incarnation } = this.#live;
    const life = incarnation && !this.error && status !== "idle" ? { incarnation } : {};
    const asked = { ...op, session: this.id, ...life, ...fields };
    return this.#connection.request(asked, timeoutMs === undefined ? {} : { timeoutMs });
  }

  #run(answer: Answer): Run {
    return new Run(this, (answer["run"] as string) ?? "", answer["messageId"] as string, answer["last"] as number);
  }
}
