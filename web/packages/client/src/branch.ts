// Owns what is shown of a session that branches: the items from the head back, and for each input the answer chosen
// (CTL-7). The twin of `View.visible` in src/holdfast/protocol/view.py.

import type { Item, MessageItem, RunState } from "./protocol.js";
import type { View } from "./view.js";

/** The topmost known ancestor of a run. */
export function rootOf(runs: ReadonlyMap<string, RunState>, id: string): string {
  for (;;) {
    const parent = runs.get(id)?.parent;
    if (parent === undefined || !runs.has(parent)) return id;
    id = parent;
  }
}

/** The items of the branch shown, in order. */
export function visible(view: View): Item[] {
  const turns = new Set<string>();
  for (let turn = view.head; turn !== null && !turns.has(turn);) {
    turns.add(turn);
    turn = view.find("message", turn)?.parent ?? null;
  }
  const answers = new Map(view.chosen);
  for (const run of byAge(view.runs)) {
    if (run.parent === undefined && run.input !== undefined && !view.chosen.has(run.input)) answers.set(run.input, run.id);
  }
  return view.items.filter(({ turn, run }) => {
    if (turn === undefined) return true;
    if (!turns.has(turn)) return false;
    return run === undefined || rootOf(view.runs, run) === (answers.get(turn) ?? run);
  });
}

const isInput = (item: Item): item is MessageItem => item.kind === "message" && item.turn === item.id;

/** The inputs that stand where this one stands: the versions of an edited message, oldest first. */
export const siblingInputs = (items: readonly Item[], message: MessageItem): MessageItem[] =>
  items.filter(isInput).filter((item) => item.parent === message.parent);

/** The root runs that answer an input, oldest first: its regenerated answers. */
export const siblingRuns = (runs: ReadonlyMap<string, RunState>, input: string): RunState[] =>
  byAge(runs).filter((run) => run.parent === undefined && run.input === input);

/** Runs in the order they were queued: JSON objects have none to rely on. */
const byAge = (runs: ReadonlyMap<string, RunState>): RunState[] => [...runs.values()].sort((a, b) => a.seq - b.seq);

/** The end of the newest conversation that goes on from an input: what to `select` to see that branch whole. */
export function newestLeaf(items: readonly Item[], input: string): string {
  const inputs = items.filter(isInput);
  for (let leaf = input; ;) {
    const next = inputs.findLast((item) => item.parent === leaf);
    if (!next) return leaf;
    leaf = next.id;
  }
}
