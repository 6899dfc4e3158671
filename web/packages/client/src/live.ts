// Owns a session's view, kept up to date; it heals itself with a snapshot when an event does not join (FOLD-3).

import { HoldfastError } from "./errors.js";
import { FeedReader, type Snapshot } from "./feed.js";
import type { SessionEvent } from "./protocol.js";
import { type Recovery, RecoveryCounter } from "./recovery.js";
import { View } from "./view.js";

type Fold = typeof import("./fold.js");
let fold: Promise<Fold> | undefined;

/** How the reading of a session stands. `idle`: nobody follows it; `closed`: it cannot be read any more. */
export type ReadingStatus = "idle" | "catching-up" | "live" | "offline" | "closed";

/** The owner of a live view, called back by it. */
export interface LiveViewOwner {
  notifyChange(): void;
  reportRecovery(recovery: Recovery): void;
}

export class LiveView extends FeedReader {
  view = new View();
  status: ReadingStatus = "idle";
  error: HoldfastError | null = null;
  readonly #session: string;
  readonly #owner: LiveViewOwner;
  readonly #counter = new RecoveryCounter();
  #offlineSince: number | null = null;
  #apply: Fold["apply"] = () => false;

  constructor(session: string, owner: LiveViewOwner) {
    super("snapshot");
    this.#session = session;
    this.#owner = owner;
  }

  /** Load the fold, so that events can be applied. */
  async loadFold(): Promise<void> {
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

  /** Begin from a stored view. */
  restore(view: View, incarnation: string, seq: number): void {
    this.view = view;
    this.begin({ incarnation, seq });
    this.#counter.last = seq;
    this.#offlineSince = Date.now();
  }

  setStatus(status: ReadingStatus): void {
    this.status = status;
    this.#owner.notifyChange();
  }

  override subscribed(tail: number): void {
    if (this.status === "live" || this.#counter.active) return;
    const offlineMs = this.#offlineSince === null ? null : Date.now() - this.#offlineSince;
    this.#counter.begin(this.needs ? null : this.seq, tail, offlineMs);
    this.#offlineSince = null;
    this.setStatus("catching-up");
  }

  override event(event: SessionEvent): boolean {
    if (!this.#apply(this.view, event)) return false;
    this.#counter.add(event.seq, event.to ?? event.seq);
    this.#owner.notifyChange();
    return true;
  }

  override skip(from: number, to: number): void {
    this.#counter.add(from, to);
  }

  override snapshot({ view, seq, reason }: Snapshot): void {
    try {
      this.view = View.load(view);
    } catch (error) { // a server of another version
      this.fail(new HoldfastError({ code: "config.invalid", message: String(error) }));
      return;
    }
    this.#counter.replace(seq, reason);
    this.#owner.notifyChange();
  }

  override caughtUp(): void {
    const recovery = this.#counter.end(this.#session);
    this.setStatus("live");
    if (recovery) this.#owner.reportRecovery(recovery);
  }

  override disconnected(): void {
    this.#offlineSince ??= Date.now();
    this.#counter.abandon();
    this.setStatus("offline");
  }

  override fail(error: HoldfastError): void {
    this.error = error;
    this.setStatus("closed");
  }
}
