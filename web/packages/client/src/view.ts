// Owns the folded state of one session: its items and runs, the indexes over them, and its form as JSON
// (PROTOCOL.md, section 6). The twin of src/holdfast/protocol/view.py; fold.ts says how events change it, and is
// loaded when a session is first followed.

import type { Item, RunState, ViewData } from "./protocol.js";

export const FOLD_VERSION = 1;
const ENDED = ["completed", "failed", "cancelled", "lost"];

/** Whether a run of this status is over. */
export const ended = (run: { status: string }): boolean => ENDED.includes(run.status);

/** An item while it is folded: any kind, its fields by name. */
export type Entry = Record<string, any>;

const UNFINISHED = ["open", "called", "pending"];
const keyOf = (kind: string, id: string): string => `${kind}\n${id}`; // the key of an item in the indexes

/** What a person sees of one session. It grows in place: look, do not change. */
export class View {
  title = "";
  agent = "";
  meta: Record<string, unknown> = {};
  state: unknown = {};
  items: Item[] = [];
  /** Every known run by id, in the order they were queued. */
  runs = new Map<string, RunState>();
  /** The input at the end of the branch shown. */
  head: string | null = null;
  /** Input id to the run selected as its answer; inputs without an entry show their newest. */
  chosen = new Map<string, string>();
  branchVersion = 0;
  handoff: { by: string; ts: number } | null = null;
  /** Number of the newest page of history before `items`; 0 for none. */
  older = 0;

  /** Counts changes: unequal numbers mean that something may look different. */
  version = 0;
  /** Changes whenever the order of items, or what is shown, may have changed. */
  shape = 0;
  // What only the fold uses; it takes nothing else from here, so that a page can load it later.
  readonly ended = ended;
  readonly byId = new Map<string, Entry>();
  readonly open = new Map<string, Entry>();
  /** Run id or null to the items that its end closes. */
  readonly unfinished = new Map<string | null, Entry[]>();
  private readonly changes = new WeakMap<object, number>();

  /** The `version` at which an item or run changed last: what a renderer compares before it draws again. */
  changedAt(part: Item | RunState): number {
    return this.changes.get(part) ?? 0;
  }

  /** A known item by kind and id. */
  find<K extends Item["kind"]>(kind: K, id: string): Extract<Item, { kind: K }> | undefined {
    return this.byId.get(keyOf(kind, id)) as Extract<Item, { kind: K }> | undefined;
  }

  /** The view as JSON data. It shares its parts with the view: encode it before the next `apply`. */
  export(): ViewData {
    const { title, agent, meta, state, items, handoff, older } = this;
    return {
      fold: FOLD_VERSION, title, agent, meta, state, items, runs: Object.fromEntries(this.runs),
      branch: { head: this.head, runs: Object.fromEntries(this.chosen), version: this.branchVersion }, handoff, older,
    };
  }

  /** The view exported as `data`, which it takes over. Throws for another fold version (FOLD-7). */
  static load({ fold, runs, branch, ...rest }: ViewData): View {
    if (fold !== FOLD_VERSION) throw new Error(`view of fold version ${fold}; this is ${FOLD_VERSION}`);
    const view = Object.assign(new View(), rest);
    view.runs = new Map(Object.entries(runs));
    view.head = branch.head;
    view.chosen = new Map(Object.entries(branch.runs));
    view.branchVersion = branch.version;
    for (const item of view.items) view.index(item);
    return view;
  }

  /** Remember that an item or a run changed. */
  touch(part: object): void {
    this.changes.set(part, this.version);
  }

  /** Note an item that begins, or begins again. */
  index(item: Entry): void {
    const key = keyOf(item["kind"], item["id"]);
    this.byId.set(key, item);
    this.touch(item);
    if (!UNFINISHED.includes(item["status"])) return;
    const run: string | null = item["run"] ?? null;
    const entries = this.unfinished.get(run);
    if (entries) entries.push(item);
    else this.unfinished.set(run, [item]);
    if (item["status"] === "open" && "length" in item) this.open.set(key, item);
  }
}
