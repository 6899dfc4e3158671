// Owns one connection for all tabs of a browser that show the same server to the same principal. One tab leads: it holds
// the connection, and a lock that passes to another tab when it is closed. The others reach it over a channel; one that
// gets no answer takes the lock away from a leader that froze. Loaded where a browser has what it takes.

import { claimsOf } from "./claims.js";
import type { Connection } from "./connection.js";
import type { WireError } from "./errors.js";
import type { Feed } from "./feed.js";
import { Hub, type Port } from "./tab-leader.js";
import type { Op, ServerMessage } from "./protocol.js";
import type { Dial, Sink, Transport } from "./transport.js";

/** What is needed of `navigator.locks`. */
export interface TabLocks {
  request(
    name: string, options: { signal?: AbortSignal; steal?: boolean }, granted: () => Promise<void>,
  ): Promise<unknown>;
}

const ANSWER_MS = 2_000; // a leader that has not answered at all by then is frozen
const GONE: WireError = { code: "connection.lost", message: "Another tab leads now.", retry: true };

/** What tabs say to each other. `to` and `from` are numbers of transports, drawn at random. */
type Said =
  | { say: "hello" | "bye"; from: string }
  | { say: "op"; from: string; op: Op & { id: number } }
  | { say: "leads" }
  | { say: "alive"; to: string }
  | { say: "message"; to: string; message: ServerMessage; size: number }
  | { say: "lost"; to: string; error: WireError };

/** The tabs of one server, as one of them sees them. */
export class Tabs {
  readonly #server: string;
  readonly #locks: TabLocks;
  readonly #direct: Dial;
  readonly #alone: () => Connection;
  readonly #Feed: typeof Feed;
  #group: Group | undefined;

  constructor(server: string, locks: TabLocks, direct: Dial, alone: () => Connection, Made: typeof Feed) {
    this.#server = server;
    this.#locks = locks;
    this.#direct = direct;
    this.#alone = alone;
    this.#Feed = Made;
  }

  /** Dials the leader of the tabs that have the same rights; the server itself with a token that does not say its own. */
  readonly dial: Dial = (hello, sink) => {
    const { sub, iss, tenant, caps, agents } = claimsOf(hello.token);
    if (!sub) return this.#direct(hello, sink);
    const name = `holdfast ${this.#server} ${JSON.stringify([sub, iss, tenant, caps, agents])}`;
    if (this.#group?.name !== name) {
      this.#group?.close();
      this.#group = new Group(name, this.#locks, () => new Hub(this.#alone(), this.#Feed));
    }
    return this.#group.dial(sink);
  };

  close(): void {
    this.#group?.close();
  }
}

class Group {
  readonly name: string;
  readonly #locks: TabLocks;
  readonly #lead: () => Hub;
  readonly #channel: BroadcastChannel;
  readonly #ended = new AbortController();
  /** Transports of this tab, by number: there is one, but for the moment in which another replaces it. */
  readonly #mine = new Map<string, TabTransport>();
  #hub: Hub | null = null; // while this tab leads

  constructor(name: string, locks: TabLocks, lead: () => Hub) {
    this.name = name;
    this.#locks = locks;
    this.#lead = lead;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }: MessageEvent<Said>) => this.#heard(data);
    this.#stand(false);
  }

  dial(sink: Sink): Transport {
    const number = crypto.getRandomValues(new Uint32Array(2)).join("-");
    const transport = new TabTransport(this, number, sink);
    this.#mine.set(number, transport);
    transport.greet();
    return transport;
  }

  get leads(): Hub | null {
    return this.#hub;
  }

  /** Say something to the leader, which may be this tab. */
  up(said: Said & { from: string }): void {
    if (this.#hub) this.#serve(this.#hub, said, (answer) => queueMicrotask(() => this.#heard(answer)));
    else if (!this.#ended.signal.aborted) this.#channel.postMessage(said);
  }

  forget(number: string): void {
    if (this.#mine.delete(number)) this.up({ say: "bye", from: number });
  }

  close(): void {
    if (this.#ended.signal.aborted) return;
    for (const number of [...this.#mine.keys()]) this.forget(number);
    this.#ended.abort();
    this.#resign();
    this.#channel.close();
  }

  // --- leading
  /** Wait to lead; with `steal`, take the lead from a tab that does not answer. */
  #stand(steal: boolean): void {
    const { signal } = this.#ended;
    const led = () =>
      new Promise<void>((resolve) => {
        if (signal.aborted) return resolve();
        signal.addEventListener("abort", () => resolve());
        this.#hub = this.#lead();
        this.#lose(GONE);
        this.#channel.postMessage({ say: "leads" } satisfies Said);
      });
    this.#locks.request(this.name, steal ? { steal } : { signal }, led).catch(() => {
      if (signal.aborted) return;
      this.#resign(); // the lead was taken while this tab was frozen
      this.#lose(GONE);
      this.#stand(false);
    });
  }

  steal(): void {
    if (!this.#hub) this.#stand(true);
  }

  #resign(): void {
    this.#hub?.close();
    this.#hub = null;
  }

  #lose(error: WireError): void {
    for (const transport of [...this.#mine.values()]) transport.lost(error);
  }

  #serve(hub: Hub, said: Said & { from: string }, answer: (said: Said) => void): void {
    const to = said.from;
    if (said.say === "hello") {
      answer({ say: "alive", to });
      hub.join({
        id: to,
        send: (message, size) => answer({ say: "message", to, message, size }),
        lost: (error) => answer({ say: "lost", to, error }),
      } satisfies Port);
    } else if (said.say === "op") {
      answer({ say: "alive", to });
      if (!hub.serve(to, said.op)) answer({ say: "lost", to, error: GONE });
    } else if (said.say === "bye") {
      hub.leave(to);
    }
  }

  // --- from the channel
  #heard(said: Said): void {
    if ("from" in said) {
      if (this.#hub) this.#serve(this.#hub, said, (answer) => this.#channel.postMessage(answer));
    } else if (said.say === "leads") {
      this.#resign(); // two lead only after one of them was frozen
      this.#lose(GONE);
    } else {
      this.#mine.get(said.to)?.heard(said);
    }
  }
}

/** A tab's way to the connection of the leader. */
class TabTransport implements Transport {
  readonly #group: Group;
  readonly #number: string;
  readonly #sink: Sink;
  #patience: ReturnType<typeof setTimeout> | undefined;

  constructor(group: Group, number: string, sink: Sink) {
    this.#group = group;
    this.#number = number;
    this.#sink = sink;
  }

  get kind(): Transport["kind"] {
    return this.#group.leads?.transport ?? "tab";
  }

  greet(): void {
    this.#say({ say: "hello", from: this.#number });
  }

  #say(said: Parameters<Group["up"]>[0]): void {
    this.#patience ??= setTimeout(() => this.#group.steal(), ANSWER_MS);
    this.#group.up(said);
  }

  heard(said: Said & { to: string }): void {
    this.#calm();
    if (said.say === "message") this.#sink.received(said.message, said.size);
    else if (said.say === "lost") this.lost(said.error);
  }

  lost(error: WireError): void {
    this.close();
    this.#sink.lost(error);
  }

  send(message: object): void {
    this.#say({ say: "op", from: this.#number, op: message as Op & { id: number } });
  }

  close(): void {
    this.#calm();
    this.#group.forget(this.#number);
  }

  #calm(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }
}
