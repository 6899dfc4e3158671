// Owns a session's view, kept up to date; it heals itself with a snapshot when an event does not join (FOLD-3).

import { HoldfastError } from "./errors.js";
import { Reader, type Snapshot } from "./feed.js";
import type { SessionEvent } from "./protocol.js";
import { Proof, type Recovery } from "./recovery.js";
import { View } from "./view.js";

type Fold = typeof import("./fold.js");
let fold: Promise<Fold> | undefined;

/** How the reading of a session stands. `idle`: nobody follows it; `closed`: it cannot be read any more. */
export type ReadingStatus = "idle" | "catching-up" | "live" | "offline" | "closed";

/** Who a live view belongs to. */
export interface Owner {
  changed(): void;
  recovered(recovery: Recovery): void;
}

export class LiveView extends Reader {
  view = new View();
  status: ReadingStatus = "idle";
  error: HoldfastError | null = null;
  readonly #session: string;
  readonly #owner: Owner;
  readonly #proof = new Proof();
  #awaySince: number | null = null;
  #apply: Fold["apply"] = () => false;

  constructor(session: string, owner: Owner) {
    super("snapshot");
    this.#session = session;
    this.#owner = owner;
  }

  /** Load the fold, so that events can be taken. */
  async ready(): Promise<void> {
    while (fold ??= import("./fold.js")) {
      try {
        this.#apply = (await fold).apply;
        return;
      } catch { // the page is offline, most likely
        fold = undefined;
        await new Promise((resolve) => setTimeout(resolve, 2_000));
      }
    }
  }

  /** Begin from what was kept. */
  restore(view: View, incarnation: string, seq: number): void {
    this.view = view;
    this.begin({ incarnation, seq });
    this.#proof.last = seq;
    this.#awaySince = Date.now();
  }

  become(status: ReadingStatus): void {
    this.status = status;
    this.#owner.changed();
  }

  override began(tail: number): void {
    if (this.status === "live" || this.#proof.counting) return;
    const away = this.#awaySince === null ? null : Date.now() - this.#awaySince;
    this.#proof.begin(this.needs ? null : this.seq, tail, away);
    this.#awaySince = null;
    this.become("catching-up");
  }

  override event(event: SessionEvent): boolean {
    if (!this.#apply(this.view, event)) return false;
    this.#proof.took(event.seq, event.to ?? event.seq);
    this.#owner.changed();
    return true;
  }

  override skip(from: number, to: number): void {
    this.#proof.took(from, to);
  }

  override snapshot({ view, seq, reason }: Snapshot): void {
    try {
      this.view = View.load(view);
    } catch (error) { // a server of another version
      this.fail(new HoldfastError({ code: "config.invalid", message: String(error) }));
      return;
    }
    this.#proof.jumped(seq, reason);
    this.#owner.changed();
  }

  override caughtUp(): void {
    const recovery = this.#proof.end(this.#session);
    this.become("live");
    if (recovery) this.#owner.recovered(recovery);
  }

  override away(): void {
    this.#awaySince ??= Date.now();
    this.#proof.abandon();
    this.become("offline");
  }

  override fail(error: HoldfastError): void {
    this.error = error;
    this.become("closed");
  }
}
