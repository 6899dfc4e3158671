// Owns one connection for all tabs of a browser that show the same server to the same principal. One tab leads: it holds
// the connection, and a lock that passes to another tab when it is closed. The others reach it over a channel; one that
// gets no answer takes the lock away from a leader that froze. Loaded where a browser has what it takes.

import { claimsOf } from "./claims.js";
import type { Connection } from "./connection.js";
import type { WireError } from "./errors.js";
import type { Feed } from "./feed.js";
import { TabLeader, type TabPort } from "./tab-leader.js";
import type { ServerMessage } from "./protocol.js";
import type { Dial, OpRequest, Sink, Transport } from "./transport.js";

/** What is needed of `navigator.locks`. */
export interface TabLocks {
  request(
    name: string, options: { signal?: AbortSignal; steal?: boolean }, granted: () => Promise<void>,
  ): Promise<unknown>;
}

const ANSWER_MS = 2_000; // a leader that has not answered at all by then is frozen
const LEADER_CHANGED: WireError = { code: "connection.lost", message: "Another tab leads now.", retry: true };

/** Names the form of `TabMessage`: tabs of pages that use another form do not share a connection with these. */
const MESSAGE_FORM = 2;

/** A message between tabs. `to` and `from` are numbers of transports, drawn at random. */
type TabMessage =
  | { type: "hello" | "bye"; from: string }
  | { type: "op"; from: string; op: OpRequest }
  | { type: "leads" }
  | { type: "ack"; to: string }
  | { type: "message"; to: string; message: ServerMessage; size: number }
  | { type: "lost"; to: string; error: WireError };

/** The tabs of one server, as one of them sees them. */
export class TabDialer {
  readonly #server: string;
  readonly #locks: TabLocks;
  readonly #direct: Dial;
  readonly #newConnection: () => Connection;
  readonly #Feed: typeof Feed;
  #group: TabGroup | undefined;

  constructor(server: string, locks: TabLocks, direct: Dial, newConnection: () => Connection, FeedClass: typeof Feed) {
    this.#server = server;
    this.#locks = locks;
    this.#direct = direct;
    this.#newConnection = newConnection;
    this.#Feed = FeedClass;
  }

  /** Dials the leader of the tabs that have the same rights; the server itself with a token that does not say its own. */
  readonly dial: Dial = (hello, sink) => {
    const { sub, iss, tenant, caps, agents } = claimsOf(hello.token);
    if (!sub) return this.#direct(hello, sink);
    const name = `holdfast ${MESSAGE_FORM} ${this.#server} ${JSON.stringify([sub, iss, tenant, caps, agents])}`;
    if (this.#group?.name !== name) {
      this.#group?.close();
      this.#group = new TabGroup(name, this.#locks, () => new TabLeader(this.#newConnection(), this.#Feed));
    }
    return this.#group.dial(sink);
  };

  close(): void {
    this.#group?.close();
  }
}

class TabGroup {
  readonly name: string;
  readonly #locks: TabLocks;
  readonly #newLeader: () => TabLeader;
  readonly #channel: BroadcastChannel;
  readonly #closed = new AbortController();
  /** Transports of this tab, by number: there is one, but for the moment in which another replaces it. */
  readonly #transports = new Map<string, TabTransport>();
  #leader: TabLeader | null = null; // while this tab leads

  constructor(name: string, locks: TabLocks, newLeader: () => TabLeader) {
    this.name = name;
    this.#locks = locks;
    this.#newLeader = newLeader;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }: MessageEvent<TabMessage>) => this.#receive(data);
    this.#requestLead(false);
  }

  dial(sink: Sink): Transport {
    const number = crypto.getRandomValues(new Uint32Array(2)).join("-");
    const transport = new TabTransport(this, number, sink);
    this.#transports.set(number, transport);
    transport.greet();
    return transport;
  }

  get leader(): TabLeader | null {
    return this.#leader;
  }

  /** Send a message to the leader, which may be this tab. */
  send(message: TabMessage & { from: string }): void {
    if (this.#leader) this.#serve(this.#leader, message, (answer) => queueMicrotask(() => this.#receive(answer)));
    else if (!this.#closed.signal.aborted) this.#channel.postMessage(message);
  }

  forget(number: string): void {
    if (this.#transports.delete(number)) this.send({ type: "bye", from: number });
  }

  close(): void {
    if (this.#closed.signal.aborted) return;
    for (const number of [...this.#transports.keys()]) this.forget(number);
    this.#closed.abort();
    this.#resign();
    this.#channel.close();
  }

  // --- leading
  /** Wait to lead; with `steal`, take the lead from a tab that does not answer. */
  #requestLead(steal: boolean): void {
    const { signal } = this.#closed;
    const lead = () =>
      new Promise<void>((resolve) => {
        if (signal.aborted) return resolve();
        signal.addEventListener("abort", () => resolve());
        this.#leader = this.#newLeader();
        this.#dropTransports(LEADER_CHANGED);
        this.#channel.postMessage({ type: "leads" } satisfies TabMessage);
      });
    this.#locks.request(this.name, steal ? { steal } : { signal }, lead).catch(() => {
      if (signal.aborted) return;
      this.#resign(); // the lead was taken while this tab was frozen
      this.#dropTransports(LEADER_CHANGED);
      this.#requestLead(false);
    });
  }

  steal(): void {
    if (!this.#leader) this.#requestLead(true);
  }

  #resign(): void {
    this.#leader?.close();
    this.#leader = null;
  }

  #dropTransports(error: WireError): void {
    for (const transport of [...this.#transports.values()]) transport.lost(error);
  }

  #serve(leader: TabLeader, message: TabMessage & { from: string }, reply: (message: TabMessage) => void): void {
    const to = message.from;
    if (message.type === "hello") {
      reply({ type: "ack", to });
      leader.join({
        id: to,
        send: (message, size) => reply({ type: "message", to, message, size }),
        lost: (error) => reply({ type: "lost", to, error }),
      } satisfies TabPort);
    } else if (message.type === "op") {
      reply({ type: "ack", to });
      if (!leader.serve(to, message.op)) reply({ type: "lost", to, error: LEADER_CHANGED });
    } else if (message.type === "bye") {
      leader.leave(to);
    }
  }

  // --- from the channel
  #receive(message: TabMessage): void {
    if ("from" in message) {
      if (this.#leader) this.#serve(this.#leader, message, (answer) => this.#channel.postMessage(answer));
    } else if (message.type === "leads") {
      this.#resign(); // two lead only after one of them was frozen
      this.#dropTransports(LEADER_CHANGED);
    } else {
      this.#transports.get(message.to)?.receive(message);
    }
  }
}

/** A tab's way to the connection of the leader. */
class TabTransport implements Transport {
  readonly #group: TabGroup;
  readonly #number: string;
  readonly #sink: Sink;
  #answerTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(group: TabGroup, number: string, sink: Sink) {
    this.#group = group;
    this.#number = number;
    this.#sink = sink;
  }

  get kind(): Transport["kind"] {
    return this.#group.leader?.transport ?? "tab";
  }

  greet(): void {
    this.#send({ type: "hello", from: this.#number });
  }

  #send(message: Parameters<TabGroup["send"]>[0]): void {
    this.#answerTimer ??= setTimeout(() => this.#group.steal(), ANSWER_MS);
    this.#group.send(message);
  }

  receive(message: TabMessage & { to: string }): void {
    this.#stopTimer();
    if (message.type === "message") this.#sink.received(message.message, message.size);
    else if (message.type === "lost") this.lost(message.error);
  }

  lost(error: WireError): void {
    this.close();
    this.#sink.lost(error);
  }

  send(message: object): void {
    this.#send({ type: "op", from: this.#number, op: message as OpRequest });
  }

  close(): void {
    this.#stopTimer();
    this.#group.forget(this.#number);
  }

  #stopTimer(): void {
    clearTimeout(this.#answerTimer);
    this.#answerTimer = undefined;
  }
}
