// Owns the parts of a UI message of the AI SDK, and how much of each was sent. The server's own dialect sends the same
// (src/holdfast/edge/dialects/ai_sdk/parts.py): a page may use either.

import { Calls, type Chunk, type Version } from "./calls.js";
import type { ApprovalItem, Item, MessageItem, ReasoningItem, RunState, Source } from "../protocol.js";

const CHUNK_PREFIXES = { message: "text", reasoning: "reasoning" } as const;
const keyOf = (item: Item): string => `${item.kind}:${item.id}`;

/** Which of a run's items were sent, and the chunks that send the rest. */
export class Parts {
  readonly calls: Calls;
  readonly #root: string;
  readonly #version: Version;
  readonly #textStates = new Map<string, string>(); // where each part stands
  readonly #sentChars = new Map<string, number>(); // characters of a text
  readonly #sentSources = new Map<string, number>();
  readonly #data = new Map<string, string>();

  constructor(root: string, version: Version) {
    this.#root = root;
    this.#version = version;
    this.calls = new Calls(root, version);
  }

  /** Whether anything was sent. */
  get started(): boolean {
    return this.#textStates.size > 0 || this.calls.started;
  }

  /** The run and its sub-runs. */
  get runs(): Map<string, RunState> {
    return this.calls.runs;
  }

  set runs(runs: Map<string, RunState>) {
    this.calls.runs = runs;
  }

  /** The SDK has these items already. */
  markSent(items: readonly Item[]): void {
    this.calls.index(items);
    for (const item of items) [...this.item(item)];
  }

  /** What the SDK does not know of an item. */
  *item(item: Item): Generator<Chunk> {
    if (item.kind === "message" || item.kind === "reasoning") yield* this.#text(item);
    else if (item.kind === "tool") yield* this.calls.call(item);
    else if (item.kind === "approval") yield* this.#approval(item);
    else if (item.kind === "activity") yield* this.data(item.name, item.id, item.content);
    else if (item.kind === "step") yield* this.data("step", item.id, { name: item.name, status: item.status, ...this.#agentOf(item) });
    else yield* this.data("steer", item.id, { text: item.text, by: item.actor, status: item.status, ...this.#agentOf(item) });
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
  #agentOf({ run }: Item): Record<string, string> {
    const agent = run !== undefined && run !== this.#root ? this.runs.get(run)?.agent : undefined;
    return agent === undefined ? {} : { run: run!, agent };
  }

  #metadata(item: Item, extra: object = {}): { providerMetadata?: unknown } {
    const facts = { ...this.#agentOf(item), ...extra };
    return Object.keys(facts).length ? { providerMetadata: { holdfast: facts } } : {};
  }

  *#text(item: MessageItem | ReasoningItem): Generator<Chunk> {
    const key = keyOf(item);
    const { id, text, status } = item;
    const prefix = CHUNK_PREFIXES[item.kind];
    if (!this.#textStates.has(key)) {
      this.#textStates.set(key, "open");
      yield { type: `${prefix}-start`, id, ...this.#metadata(item) };
    }
    const sent = this.#sentChars.get(key) ?? 0;
    if (this.#textStates.get(key) === "open") {
      this.#sentChars.set(key, text.length);
      if (text.length > sent) yield { type: `${prefix}-delta`, id, delta: text.slice(sent) };
      if (status !== "open") {
        this.#textStates.set(key, "done");
        yield { type: `${prefix}-end`, id, ...(status === "cut" ? this.#metadata(item, { status }) : {}) };
      }
    }
    const sources = (item.kind === "message" && item.sources) || [];
    const sentSources = this.#sentSources.get(key) ?? 0;
    this.#sentSources.set(key, sources.length);
    for (const [number, source] of sources.entries()) if (number >= sentSources) yield sourceChunk(source, `${id}.${number}`);
  }

  *#approval(item: ApprovalItem): Generator<Chunk> {
    if (item.purpose === "call") return; // its call is shown
    if (this.#version >= 6) {
      yield* this.calls.approval(item);
      return;
    }
    const { id, tool, args, status, note, by, hash, deadline } = item;
    yield* this.data("approval", id, { id, tool, args, hash, deadline, status, by, note, ...this.#agentOf(item) });
  }

  // --- ends
  /** End the texts that are open for the SDK; the stream does not go on. */
  *closeTexts(items: readonly Item[]): Generator<Chunk> {
    for (const item of items) {
      if ((item.kind !== "message" && item.kind !== "reasoning") || this.#textStates.get(keyOf(item)) !== "open") continue;
      this.#textStates.set(keyOf(item), "done");
      yield { type: `${CHUNK_PREFIXES[item.kind]}-end`, id: item.id };
    }
  }
}

function sourceChunk({ uri = "", title, sourceId, quote, score }: Source, number: string): Chunk {
  const id = sourceId ?? number;
  const metadata = quote === undefined && score === undefined ? {} : { providerMetadata: { holdfast: { quote, score } } };
  const label = title ?? (uri || id);
  return /^https?:/.test(uri)
    ? { type: "source-url", sourceId: id, url: uri, title: label, ...metadata }
    : { type: "source-document", sourceId: id, mediaType: "text/plain", title: label, ...metadata };
}
