// Owns a run as seen by the person who asked for it.

import { HoldfastError } from "./errors.js";
import type { HistoryPage, Item, MessageItem, RunState } from "./protocol.js";
import type { Session } from "./session.js";
import { ended } from "./view.js";

/** A run by id. Nothing happens to it when this object, or the connection, goes away. */
export class Run {
  readonly session: Session;
  /** Empty when nothing was queued: the input was for nobody, or the agents are muted. */
  readonly id: string;
  /** Id of the input message it answers. */
  readonly input: string;

  constructor(session: Session, id: string, input = "") {
    this.session = session;
    this.id = id;
    this.input = input;
  }

  /** The run as the view shows it now, while the session is followed. */
  get state(): RunState | undefined {
    return this.session.view.runs.get(this.id);
  }

  /** Stop it; `force` without any grace. Rejects with `run.ended` when there is nothing left to stop. */
  async cancel(options: { force?: boolean; version?: number } = {}): Promise<void> {
    await this.session.cancel({ run: this.id, ...options });
  }

  /** Put words into it while it runs; resolves with the steer's id. */
  steer(text: string): Promise<string> {
    return this.session.steer(this.id, text);
  }

  /** Wait for its end: `status`, and `error` when it failed. Rejects with `run.not_found` when nobody knows it. */
  async finished(): Promise<RunState> {
    const view = await this.session.until(({ runs }) => {
      const run = runs.get(this.id);
      return !run || ended(run);
    });
    let known = view.runs.get(this.id);
    if (!known) for await (const { runs } of pages(this.session, view.older)) known ??= runs[this.id]; // ended long ago
    if (!known) throw new HoldfastError({ code: "run.not_found", message: `There is no run ${this.id}.` });
    return { ...known };
  }

  /** Wait for its end; resolves with what it said: the texts of its messages, joined by blank lines. */
  async text(): Promise<string> {
    const run = await this.finished();
    const view = await this.session.state();
    let items: Item[] = view.items;
    for await (const page of pages(this.session, view.older)) {
      if (items[0] && items[0].seq <= run.seq) break;
      items = [...page.items, ...items];
    }
    return said(items, run);
  }
}

/** Pages of history from a number on, each older than the one before. */
async function* pages(session: Session, number: number): AsyncGenerator<HistoryPage["page"]> {
  while (number > 0) {
    const { page, older } = await session.history(number);
    yield page;
    number = older;
  }
}

/** What a run has said so far, without the attempts that were lost and without its sub-runs. */
export function said(items: readonly Item[], run: RunState): string {
  const lost = new Set(run.losses?.map(({ attempt }) => attempt));
  return items
    .filter((item): item is MessageItem => item.kind === "message" && item.run === run.id && !lost.has(item.attempt ?? -1))
    .map((item) => item.text)
    .join("\n\n");
}
