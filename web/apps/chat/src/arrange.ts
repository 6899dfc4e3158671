// Owns the order in which a conversation is shown: turns, the answer below each, and sub-agents side by side.
// Pure: the view and fetched history go in, plain data comes out.

import { visible, type Item, type MessageItem, type RunState, type View } from "holdfast-ai";

/** Pages of history that were fetched, oldest first. */
export interface FetchedHistory {
  items: Item[];
  runs: Map<string, RunState>;
  /** Number of the page before them; null before anything was fetched. */
  older: number | null;
}

export const NO_HISTORY: FetchedHistory = { items: [], runs: new Map(), older: null };

/** What stands in an answer, in order. */
export type RunPart =
  | { kind: "item"; item: Item; superseded: boolean }
  | { kind: "loss"; loss: NonNullable<RunState["losses"]>[number] }
  | { kind: "subs"; runs: RunNode[] };

/** A run and everything in it. */
export interface RunNode {
  run: RunState;
  parts: RunPart[];
  /** It belongs to an attempt that was lost. */
  superseded: boolean;
  /** One line about how far it is. */
  progress: string;
}

/** A message (or an item that stands alone), and its answer. */
export interface ShownTurn {
  item: Item;
  answer?: RunNode;
}

/** The view with the fetched past before it. */
export function withHistory(view: View, history: FetchedHistory): View {
  if (!history.items.length) return view;
  const items = [...history.items, ...view.items];
  const fetchedById = new Map(history.items.map((item) => [`${item.kind}\n${item.id}`, item]));
  const find = ((kind: Item["kind"], id: string) => view.find(kind, id) ?? fetchedById.get(`${kind}\n${id}`)) as View["find"];
  return { items, runs: new Map([...history.runs, ...view.runs]), head: view.head, chosen: view.chosen, find } as unknown as View;
}

/** What is shown, in order. */
export function arrange(view: View): ShownTurn[] {
  const byRun = new Map<string, Item[]>();
  const turns: Item[] = [];
  for (const item of visible(view)) {
    if (item.run === undefined || isInput(item)) turns.push(item);
    else push(byRun, item.run, item);
  }
  const children = new Map<string, RunState[]>();
  const answers = new Map<string, RunState>();
  for (const run of view.runs.values()) {
    if (run.parent !== undefined) push(children, run.parent, run);
    else if (run.input !== undefined && (view.chosen.get(run.input) ?? run.id) === run.id) answers.set(run.input, run);
  }
  return turns.map((item) => {
    const run = isInput(item) ? answers.get(item.id) : undefined;
    return run ? { item, answer: runNodeOf(run, byRun, children) } : { item };
  });
}

export const isInput = (item: Item): item is MessageItem => item.kind === "message" && item.turn === item.id;

/** Of what a lost attempt left: a text that does not count (RUN-8), and whatever was cut. */
const isDiscarded = (item: Item): boolean =>
  item.kind === "message" || item.kind === "reasoning" ? !item.kept : "status" in item && item.status === "cut";

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

function runNodeOf(run: RunState, byRun: Map<string, Item[]>, children: Map<string, RunState[]>, lossBefore = 0): RunNode {
  const losses = run.losses ?? [];
  const lost = new Set(losses.map(({ attempt }) => attempt));
  const lastLoss = losses.at(-1)?.ts ?? 0;
  const own = byRun.get(run.id) ?? [];
  const subRuns = children.get(run.id) ?? [];
  const positioned: { at: number; seq: number; part: RunPart | RunNode }[] = own.map((item) => {
    const superseded = lost.has(item.attempt ?? -1) && isDiscarded(item);
    return { at: item.ts, seq: item.seq, part: { kind: "item", item, superseded } };
  });
  for (const child of subRuns) positioned.push({ at: child.queued_ts, seq: child.seq, part: runNodeOf(child, byRun, children, lastLoss) });
  for (const loss of losses) {
    const after = positioned.filter(({ at }) => at <= loss.ts).reduce((most, { seq }) => Math.max(most, seq), run.seq);
    positioned.push({ at: loss.ts, seq: after + 0.5, part: { kind: "loss", loss } });
  }
  positioned.sort((one, other) => one.seq - other.seq);
  const superseded = run.parent !== undefined && run.queued_ts <= lossBefore;
  const progress = run.parent === undefined ? subRunProgress(subRuns.filter((child) => child.queued_ts > lastLoss)) : sourceCount(own);
  return { run, parts: sideBySide(positioned.map(({ part }) => part)), superseded, progress };
}

/** Neighbouring sub-runs share a row. */
function sideBySide(positioned: (RunPart | RunNode)[]): RunPart[] {
  const parts: RunPart[] = [];
  for (const part of positioned) {
    if ("kind" in part) {
      parts.push(part);
      continue;
    }
    const last = parts.at(-1);
    if (last?.kind === "subs") last.runs.push(part);
    else parts.push({ kind: "subs", runs: [part] });
  }
  return parts;
}

function sourceCount(items: readonly Item[]): string {
  const sources = items.reduce((count, item) => count + (item.kind === "message" ? item.sources?.length ?? 0 : 0), 0);
  return sources ? `${sources} source${sources === 1 ? "" : "s"}` : "";
}

function subRunProgress(children: readonly RunState[]): string {
  const working = children.filter(({ status }) => status === "running").length;
  return working ? `${working} of ${children.length} sub-agents at work` : "";
}
