// Owns the parts of a UI message of the AI SDK, and how much of each was told. The server's own dialect tells the same
// (src/holdfast/edge/dialects/ai_sdk/parts.py): a page may use either.

import { canonical } from "../canonical.js";
import { JSON_DEPTH, MESSAGE_DEPTH } from "../limits.js";
import { nested } from "../sendable.js";
import { browserToolOf } from "../tools.js";
import { ended } from "../view.js";
import type { ApprovalItem, Item, MessageItem, ReasoningItem, RunState, Source, ToolItem } from "../protocol.js";

/** A chunk of a UI message stream (`UIMessageChunk` of the `ai` package, whichever version). */
export interface Chunk {
  type: string;
  [field: string]: unknown;
}

/** Versions of the SDK: 5 knows no approvals, 6 no answers to them. */
export type Version = 5 | 6 | 7;

const WORDS = { message: "text", reasoning: "reasoning" } as const;
const keyOf = (item: Item): string => `${item.kind}:${item.id}`;

/** A tool's arguments or result: JSON where it is JSON, else the text itself. */
export function parsed(text: unknown): unknown {
  try {
    const value: unknown = typeof text === "string" ? JSON.parse(text) : text;
    if (nested(value, MESSAGE_DEPTH - JSON_DEPTH)) return text;
    canonical(value); // throws for what could not be told to the SDK
    return value;
  } catch {
    return text;
  }
}

/** What of a run's items has been told, and the chunks that tell the rest. */
export class Parts {
  /** The run and its sub-runs. */
  runs = new Map<string, RunState>();
  /** Approvals that the SDK has answered: they are waited for no more. */
  readonly answered = new Set<string>();
  readonly #inBrowsers = new Set<string>(); // calls that browsers are asked for: `serveTools` answers them
  readonly #root: string;
  readonly #version: Version;
  readonly #told = new Map<string, string>(); // where each part stands
  readonly #sent = new Map<string, number>(); // characters of a text or of arguments
  readonly #sources = new Map<string, number>();
  readonly #data = new Map<string, string>();
  readonly #granted = new Map<string, string>(); // run, tool, arguments → the approval
  readonly #shownAs = new Map<string, string>(); // a call that an approval allowed is one part with it

  constructor(root: string, version: Version) {
    this.#root = root;
    this.#version = version;
  }

  /** Whether anything was told. */
  get begun(): boolean {
    return this.#told.size > 0;
  }

  /** The SDK has these items already. */
  known(items: readonly Item[]): void {
    this.learn(items);
    for (const item of items) [...this.item(item)];
  }

  /** What must be known of the items before any of them is told. */
  learn(items: readonly Item[]): void {
    for (const item of items) {
      if (item.kind === "approval" && browserToolOf(item) !== null) this.#inBrowsers.add(String(item.args["toolCallId"]));
    }
  }

  /** What the SDK does not know of an item. */
  *item(item: Item): Generator<Chunk> {
    if (item.kind === "message" || item.kind === "reasoning") yield* this.#text(item);
    else if (item.kind === "tool") yield* this.#tool(item);
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

  // --- tool calls and what allows them
  *#tool(item: ToolItem): Generator<Chunk> {
    const key = keyOf(item);
    const { id, name, args } = item;
    const run = this.runs.get(item.run ?? "");
    const waits = item.status === "cut" && this.#inBrowsers.has(id) && run && !ended(run);
    const status = waits ? "called" : item.status; // the next attempt waits on
    let told = this.#told.get(key);
    if (told === "done" || (told === "cut" && status === "cut")) return;
    if (told === "cut") { // a later attempt makes the call again, or has its result
      told = status === "done" ? "called" : undefined;
      this.#sent.delete(key);
    }
    const about = { toolCallId: id, toolName: name, providerExecuted: true };
    if (told === undefined) {
      const maybe = [...this.#granted.keys()].some((granted) => granted.startsWith(`${item.run}\n${name}\n`));
      if (maybe && status === "open") return; // its arguments say whether it is what was approved
      if (maybe && this.#bind(item)) {
        told = "called";
      } else {
        yield { type: "tool-input-start", ...about, ...(this.#version >= 6 ? this.#marked(item) : {}) };
        told = "open";
      }
    }
    if (told === "open") {
      const sent = this.#sent.get(key) ?? 0;
      this.#sent.set(key, args.length);
      if (args.length > sent) yield { type: "tool-input-delta", toolCallId: id, inputTextDelta: args.slice(sent) };
      if (status === "called" || status === "done" || (status === "cut" && typeof parsed(args) !== "string")) {
        told = "called";
        yield { type: "tool-input-available", ...about, input: parsed(args), ...this.#marked(item) };
      }
    }
    if (status === "done" || status === "cut") {
      told = status;
      yield outputChunk(item, this.#shownAs.get(id) ?? id);
    }
    this.#told.set(key, told);
  }

  /** Whether the call is the very action that was approved; they are one part then. */
  #bind(item: ToolItem): boolean {
    const action = `${item.run}\n${item.name}\n${canonical(parsed(item.args))}`;
    const approval = this.#granted.get(action);
    if (approval === undefined) return false;
    this.#granted.delete(action);
    this.#shownAs.set(item.id, approval);
    this.#told.set(`approval:${approval}`, "done");
    return true;
  }

  *#approval(item: ApprovalItem): Generator<Chunk> {
    if (browserToolOf(item) !== null) return; // its call is shown
    const { id, tool, args, status, decision, note, by } = item;
    if (this.#version < 6) {
      const { hash, deadline } = item;
      yield* this.data("approval", id, { id, tool, args, hash, deadline, status, by, note, ...this.#whose(item) });
      return;
    }
    const key = keyOf(item);
    if (!this.#told.has(key)) {
      this.#told.set(key, "pending");
      const about = { toolCallId: id, toolName: tool, input: args, providerExecuted: true };
      yield { type: "tool-input-available", ...about, ...this.#marked(item) };
      yield { type: "tool-approval-request", approvalId: id, toolCallId: id };
    }
    if (this.#told.get(key) !== "pending" || status === "pending") return;
    const approved = decision === "approved";
    if (this.#version >= 7) {
      yield { type: "tool-approval-response", approvalId: id, approved, ...(note ? { reason: note } : {}) };
    }
    this.#told.set(key, approved ? "granted" : "done");
    if (approved) this.#granted.set(`${item.run}\n${tool}\n${canonical(args)}`, id);
    else yield { type: "tool-output-denied", toolCallId: id };
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

  /** The run has ended: what was allowed and not done is told as decided, so that no part stays open. */
  *settle(items: readonly Item[]): Generator<Chunk> {
    for (const item of items) {
      if (item.kind !== "approval" || this.#told.get(keyOf(item)) !== "granted") continue;
      this.#told.set(keyOf(item), "done");
      yield { type: "tool-output-available", toolCallId: item.id, output: { approved: true, by: item.by, note: item.note } };
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

function outputChunk(item: ToolItem, toolCallId: string): Chunk {
  if (item.status === "cut") return { type: "tool-output-error", toolCallId, errorText: "cut before there was a result" };
  if (item.error !== undefined) {
    const error = item.error as { message?: string } | string;
    const words = typeof error === "string" ? error : error.message;
    return { type: "tool-output-error", toolCallId, errorText: words || "the tool failed" };
  }
  const output = item.blob === undefined ? parsed(item.result ?? "") : { blob: item.blob, preview: item.result ?? "" };
  return { type: "tool-output-available", toolCallId, output };
}
