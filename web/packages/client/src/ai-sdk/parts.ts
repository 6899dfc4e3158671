// Owns the parts of a UI message of the AI SDK, and how much of each was told. The server's own dialect tells the same
// (src/holdfast/edge/dialects/ai_sdk/parts.py): a page may use either.

import { browserToolOf } from "../tools.js";
import { Calls, type Chunk, type Version } from "./calls.js";
import type { ApprovalItem, Item, MessageItem, ReasoningItem, RunState, Source } from "../protocol.js";

const WORDS = { message: "text", reasoning: "reasoning" } as const;
const keyOf = (item: Item): string => `${item.kind}:${item.id}`;

/** What of a run's items has been told, and the chunks that tell the rest. */
export class Parts {
  readonly calls: Calls;
  readonly #root: string;
  readonly #version: Version;
  readonly #told = new Map<string, string>(); // where each part stands
  readonly #sent = new Map<string, number>(); // characters of a text
  readonly #sources = new Map<string, number>();
  readonly #data = new Map<string, string>();

  constructor(root: string, version: Version) {
    this.#root = root;
    this.#version = version;
    this.calls = new Calls(root, version);
  }

  /** Whether anything was told. */
  get begun(): boolean {
    return this.#told.size > 0 || this.calls.begun;
  }

  /** The run and its sub-runs. */
  get runs(): Map<string, RunState> {
    return this.calls.runs;
  }

  set runs(runs: Map<string, RunState>) {
    this.calls.runs = runs;
  }

  /** The SDK has these items already. */
  known(items: readonly Item[]): void {
    this.calls.learn(items);
    for (const item of items) [...this.item(item)];
  }

  /** What the SDK does not know of an item. */
  *item(item: Item): Generator<Chunk> {
    if (item.kind === "message" || item.kind === "reasoning") yield* this.#text(item);
    else if (item.kind === "tool") yield* this.calls.call(item);
    else if (item.kind === "approval") yield* this.#approval(item);
    else if (item.kind === "activity") yield* this.data(item.name, item.id, item.content);
    else if (item.kind === "step") yield* this.data("step", item.id, { name: item.name, status: item.status, ...this.#whose(item) });
    else yield* this.data("steer", item.id, { text: item.text, by: item.actor, status: item.status, ...this.#whose(item) });
  }

  /** A data part, when it is new or differs; the SDK replaces the one with the same id. */
  *data(name: string, id: string, value: unknown): Generator<Chunk> {
    const text = JSON.stringify(value);
    if (this.#data.get(`${name}:${id}`) === text) return;
    this.#data.set(`${name}:${id}`, text);
    yield { type: `data-${name}`, id, data: JSON.parse(text) };
  }

  /** Who a sub-agent is and how far. */
  *subRun({ id, agent, name, parent, status, error }: RunState): Generator<Chunk> {
    yield* this.data("run", id, { run: id, agent, name, parent, status, error });
  }

  /** A sub-agent's parts say so; the run's own need not. */
  #whose({ run }: Item): Record<string, string> {
    const agent = run !== undefined && run !== this.#root ? this.runs.get(run)?.agent : undefined;
    return agent === undefined ? {} : { run: run!, agent };
  }

  #marked(item: Item, more: object = {}): { providerMetadata?: unknown } {
    const about = { ...this.#whose(item), ...more };
    return Object.keys(about).length ? { providerMetadata: { holdfast: about } } : {};
  }

  *#text(item: MessageItem | ReasoningItem): Generator<Chunk> {
    const key = keyOf(item);
    const { id, text, status } = item;
    const word = WORDS[item.kind];
    if (!this.#told.has(key)) {
      this.#told.set(key, "open");
      yield { type: `${word}-start`, id, ...this.#marked(item) };
    }
    const sent = this.#sent.get(key) ?? 0;
    if (this.#told.get(key) === "open") {
      this.#sent.set(key, text.length);
      if (text.length > sent) yield { type: `${word}-delta`, id, delta: text.slice(sent) };
      if (status !== "open") {
        this.#told.set(key, "done");
        yield { type: `${word}-end`, id, ...(status === "cut" ? this.#marked(item, { status }) : {}) };
      }
    }
    const sources = (item.kind === "message" && item.sources) || [];
    const known = this.#sources.get(key) ?? 0;
    this.#sources.set(key, sources.length);
    for (const [number, source] of sources.entries()) if (number >= known) yield sourceChunk(source, `${id}.${number}`);
  }

  *#approval(item: ApprovalItem): Generator<Chunk> {
    if (browserToolOf(item) !== null) return; // its call is shown
    if (this.#version >= 6) {
      yield* this.calls.approval(item);
      return;
    }
    const { id, tool, args, status, note, by, hash, deadline } = item;
    yield* this.data("approval", id, { id, tool, args, hash, deadline, status, by, note, ...this.#whose(item) });
  }

  // --- ends
  /** End the texts that are open for the SDK; the stream does not go on. */
  *closeTexts(items: readonly Item[]): Generator<Chunk> {
    for (const item of items) {
      if ((item.kind !== "message" && item.kind !== "reasoning") || this.#told.get(keyOf(item)) !== "open") continue;
      this.#told.set(keyOf(item), "done");
      yield { type: `${WORDS[item.kind]}-end`, id: item.id };
    }
  }
}

function sourceChunk({ uri = "", title, sourceId, quote, score }: Source, number: string): Chunk {
  const id = sourceId ?? number;
  const about = quote === undefined && score === undefined ? {} : { providerMetadata: { holdfast: { quote, score } } };
  const named = title ?? (uri || id);
  return /^https?:/.test(uri)
    ? { type: "source-url", sourceId: id, url: uri, title: named, ...about }
    : { type: "source-document", sourceId: id, mediaType: "text/plain", title: named, ...about };
}
