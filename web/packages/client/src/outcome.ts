// Owns the outcome of a run: its end and its text, found in the view or on the pages of history before it. It is loaded
// when somebody asks.

import type { HistoryPage, Item, MessageItem, RunState } from "./protocol.js";
import type { RunReference, SessionPort } from "./session-port.js";

/** Wait for the end of a run; null when neither the view nor the history knows it. */
export async function waitForEnd({ session, id, seq }: RunReference): Promise<RunState | null> {
  const view = await session.until((now) => {
    const run = now.runs.get(id);
    return run ? now.ended(run) : session.cursor!.seq >= seq; // an answer may come before the events it tells of
  });
  let found = view.runs.get(id);
  if (!found) for await (const { runs } of pages(session, view.older)) found ??= runs[id]; // it ended long ago
  return found ? { ...found } : null;
}

/** The text of a run that ended. */
export async function runText(session: SessionPort, run: RunState): Promise<string> {
  const view = await session.state();
  let items: Item[] = view.items;
  for await (const page of pages(session, view.older)) {
    if (items[0] && items[0].seq <= run.seq) break;
    items = [...page.items, ...items];
  }
  return joinText(items, run);
}

/** A run's text so far, without its sub-runs and without what a lost attempt wrote that does not count (RUN-8). */
export function joinText(items: readonly Item[], run: RunState): string {
  const lost = new Set(run.losses?.map(({ attempt }) => attempt));
  const isWithdrawn = (item: MessageItem): boolean => !item.kept && lost.has(item.attempt ?? -1);
  return items
    .filter((item): item is MessageItem => item.kind === "message" && item.run === run.id && !isWithdrawn(item))
    .map((item) => item.text)
    .join("\n\n");
}

/** Pages of history from a number on, each older than the one before. */
async function* pages(session: SessionPort, number: number): AsyncGenerator<HistoryPage["page"]> {
  while (number > 0) {
    const { page, older } = await session.history(number);
    yield page;
    number = older;
  }
}
