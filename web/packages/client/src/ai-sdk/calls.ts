// Owns tool calls and what allows them, as parts of a UI message, and how much of each was told. The server's own dialect
// tells the same (src/holdfast/edge/dialects/ai_sdk/calls.py): a page may use either.
//
// An approval of a call is one part with it. The SDK sends its user's answers when every tool part of the last step is done
// or answered, so what waits for an answer has to stand in a step without anything that still goes on (`#step`).

import { canonical } from "../canonical.js";
import { JSON_DEPTH, MESSAGE_DEPTH } from "../limits.js";
import { isTooDeep } from "../sendable.js";
import { browserToolOf } from "../tools.js";
import { ended } from "../view.js";
import type { ApprovalItem, Item, RunState, ToolItem } from "../protocol.js";

/** A chunk of a UI message stream (`UIMessageChunk` of the `ai` package, whichever version). */
export interface Chunk {
  type: string;
  [field: string]: unknown;
}

/** Versions of the SDK: 5 knows no approvals, 6 no answers to them. */
export type Version = 5 | 6 | 7;

/** A tool's arguments or result: JSON where it is JSON, else the text itself. */
export function parsed(text: unknown): unknown {
  try {
    const value: unknown = typeof text === "string" ? JSON.parse(text) : text;
    if (isTooDeep(value, MESSAGE_DEPTH - JSON_DEPTH)) return text;
    canonical(value); // throws for what could not be told to the SDK
    return value;
  } catch {
    return text;
  }
}

const actionOf = (run: string | undefined, tool: string, args: unknown): string => `${run}\n${tool}\n${canonical(args)}`;

/** Whether an approval is of the very action that a call is; while it is written anew, it has been. */
const same = (call: ToolItem, approval: ApprovalItem): boolean => call.name === approval.tool
  && (call.status === "open" || canonical(parsed(call.args)) === canonical(approval.args));

/** What of a run's tool calls and approvals has been told, and the chunks that tell the rest. */
export class Calls {
  /** The run and its sub-runs. */
  runs = new Map<string, RunState>();
  /** Approvals that the SDK has answered: they are waited for no more. */
  readonly answered = new Set<string>();
  readonly #root: string;
  readonly #version: Version;
  readonly #told = new Map<string, string>(); // where each call stands: open, called, cut, done
  readonly #asked = new Map<string, string>(); // and each approval: pending, granted, done
  readonly #sent = new Map<string, number>(); // characters of arguments
  readonly #places = new Map<string, string[]>(); // of each approval, the ids of the parts that ask for it
  readonly #granted = new Map<string, string>(); // action → an approval that names no call
  readonly #shownAs = new Map<string, string>(); // a call that such an approval allowed is one part with it
  readonly #calls = new Map<string, ToolItem>();
  readonly #approvals = new Map<string, ApprovalItem>();
  readonly #about = new Map<string, Set<string>>(); // call → the approvals that are about it
  #step = new Set<string>(); // the parts of the last step

  constructor(root: string, version: Version) {
    this.#root = root;
    this.#version = version;
  }

  get begun(): boolean {
    return this.#told.size + this.#asked.size > 0;
  }

  /** What must be known of the items before any of them is told. */
  learn(items: readonly Item[]): void {
    for (const item of items) {
      if (item.kind === "tool") this.#calls.set(item.id, item);
      if (item.kind !== "approval") continue;
      this.#approvals.set(item.id, item);
      const call = browserToolOf(item) === null ? item.call : String(item.args["toolCallId"]);
      if (call === undefined) continue;
      if (!this.#about.has(call)) this.#about.set(call, new Set());
      this.#about.get(call)!.add(item.id);
    }
  }

  /** Whether people must decide about it before anything can come of it. */
  awaits(item: ApprovalItem): boolean {
    return this.#version >= 6 && item.status === "pending" && !this.answered.has(item.id) && browserToolOf(item) === null;
  }

  #asks(call: ToolItem): ApprovalItem[] {
    return [...this.#about.get(call.id) ?? []].map((id) => this.#approvals.get(id)!);
  }

  /** A call that a browser is asked for is not cut when the worker is let go or lost: the next attempt waits on. */
  #status(call: ToolItem): ToolItem["status"] {
    const run = this.runs.get(call.run ?? "");
    return call.status === "cut" && run && !ended(run) && this.#inBrowser(call) ? "called" : call.status;
  }

  #inBrowser(call: ToolItem): boolean {
    return this.#asks(call).some((item) => browserToolOf(item) !== null); // `serveTools` answers those
  }

  /** Whether people are asked about a call in its own part. */
  #waits(call: ToolItem): boolean {
    return this.#asks(call).some(({ id, status }) => status === "pending" && this.#places.get(id)?.includes(call.id));
  }

  // --- steps
  /** Whether a call is neither done, nor its part waits for an answer. */
  #goesOn(call: ToolItem): boolean {
    return ["open", "called"].includes(this.#status(call)) && !this.#inBrowser(call) && !this.#waits(call);
  }

  #going(): ToolItem[] {
    return [...this.#step].flatMap((id) => this.#calls.get(id) ?? []).filter((call) => this.#goesOn(call));
  }

  /** Whether a call of a run above goes on in the last step: an agent that is used as a tool has made this one. */
  #above({ run }: ToolItem): boolean {
    const above = new Set<string>();
    for (let id = this.runs.get(run ?? "")?.parent; id !== undefined; id = this.runs.get(id)?.parent) above.add(id);
    return this.#going().some((call) => above.has(call.run ?? ""));
  }

  *#newStep(): Generator<Chunk> {
    this.#step = new Set();
    yield { type: "start-step" }; // no finish: to the SDK that ends the texts that are open
  }

  /** The SDK is to answer now: what it is asked stands in the last step, and nothing there goes on. */
  *pause(): Generator<Chunk> {
    const asked = [...this.#approvals.values()].filter((item) => this.awaits(item));
    if (asked.length && this.#going().length) yield* this.#newStep();
    for (const item of asked) {
      if (!this.#places.get(item.id)?.some((place) => this.#step.has(place))) yield* this.#apart(item);
    }
  }

  // --- calls
  #whose({ run }: Item): { providerMetadata?: unknown } {
    const agent = run !== undefined && run !== this.#root ? this.runs.get(run)?.agent : undefined;
    return agent === undefined ? {} : { providerMetadata: { holdfast: { run, agent } } };
  }

  /** What the SDK does not know of a call. */
  *call(item: ToolItem): Generator<Chunk> {
    const { id, name, args } = item;
    const status = this.#status(item);
    let told = this.#told.get(id);
    if (told === "done" || (told === "cut" && status === "cut")) return;
    if (told === "cut") { // a later attempt makes the call again, or has its result
      told = status === "done" || !this.#step.has(id) ? "called" : undefined;
      this.#sent.delete(id);
    }
    const about = { toolCallId: id, toolName: name, providerExecuted: true };
    if (told === undefined) {
      const maybe = [...this.#granted.keys()].some((action) => action.startsWith(`${item.run}\n${name}\n`));
      if (maybe && status === "open") return; // its arguments say whether it is what was approved
      if (maybe && this.#bind(item)) {
        told = "called";
      } else {
        if (this.#version >= 6 && this.#above(item)) yield* this.#newStep();
        this.#step.add(id);
        yield { type: "tool-input-start", ...about, ...(this.#version >= 6 ? this.#whose(item) : {}) };
        told = "open";
      }
    }
    const asking = this.#version >= 6 ? this.#asks(item).filter((approval) => same(item, approval)) : [];
    if (told === "open") {
      const here = this.#step.has(id); // the SDK looks for the input of a call in the last step only
      const sent = this.#sent.get(id) ?? 0;
      this.#sent.set(id, args.length);
      if (here && args.length > sent && !asking.length) yield { type: "tool-input-delta", toolCallId: id, inputTextDelta: args.slice(sent) };
      const whole = status === "called" || status === "done" || (status === "cut" && typeof parsed(args) !== "string");
      if (asking.length || whole) {
        told = "called";
        const input = asking.length ? asking[0]!.args : parsed(args);
        if (here) yield { type: "tool-input-available", ...about, input, ...this.#whose(item) };
      }
    }
    this.#told.set(id, told);
    const decided = asking.every((approval) => ["granted", "done"].includes(this.#asked.get(approval.id) ?? ""));
    if ((status === "done" || status === "cut") && decided) {
      this.#told.set(id, status);
      yield outputChunk(item, this.#shownAs.get(id) ?? id);
    }
  }

  /** Whether the call is the very action that was approved; they are one part then. */
  #bind(item: ToolItem): boolean {
    const action = actionOf(item.run, item.name, parsed(item.args));
    const approval = this.#granted.get(action);
    if (approval === undefined) return false;
    this.#granted.delete(action);
    this.#shownAs.set(item.id, approval);
    this.#asked.set(approval, "done");
    return true;
  }

  // --- what allows them
  /** What the SDK does not know of an approval; of versions that know approvals. */
  *approval(item: ApprovalItem): Generator<Chunk> {
    const { id, status, decision, note, args, tool, run } = item;
    const named = this.#calls.get(item.call ?? "");
    const call = named && same(named, item) ? named : undefined;
    if (!this.#asked.has(id)) {
      this.#asked.set(id, "pending");
      yield* this.#ask(item, call);
    }
    if (this.#asked.get(id) !== "pending" || status === "pending") return;
    const places = this.#places.get(id)!;
    const approved = decision === "approved";
    if (this.#version >= 7) {
      yield { type: "tool-approval-response", approvalId: id, approved, ...(note ? { reason: note } : {}) };
    }
    this.#asked.set(id, approved ? "granted" : "done");
    if (approved) {
      for (const place of places.slice(1)) if (!this.#calls.has(place)) yield this.#allowed(item, place);
      if (item.call === undefined) this.#granted.set(actionOf(run, tool, args), id);
    } else {
      for (const place of places) {
        if (this.#calls.has(place)) this.#told.set(place, "done");
        yield { type: "tool-output-denied", toolCallId: place };
      }
    }
    if (call) yield* this.call(call);
  }

  /** Ask for an approval: in the part of its call where that can be answered, else in one of its own. */
  *#ask(item: ApprovalItem, call: ToolItem | undefined): Generator<Chunk> {
    if (call) {
      yield* this.call(call);
      const others = this.#going().some(({ id }) => id !== call.id);
      if (this.#step.has(call.id) && !this.#waits(call) && !others) {
        this.#places.set(item.id, [call.id]);
        yield { type: "tool-approval-request", approvalId: item.id, toolCallId: call.id };
        return;
      }
    }
    if (item.status === "pending" && this.#going().length) yield* this.#newStep();
    yield* this.#apart(item);
  }

  *#apart(item: ApprovalItem): Generator<Chunk> {
    const places = this.#places.get(item.id) ?? [];
    const part = places.includes(item.id) ? `${item.id}~${places.length}` : item.id;
    this.#places.set(item.id, [...places, part]);
    this.#step.add(part);
    const about = { toolCallId: part, toolName: item.tool, input: item.args, providerExecuted: true };
    yield { type: "tool-input-available", ...about, ...this.#whose(item) };
    yield { type: "tool-approval-request", approvalId: item.id, toolCallId: part };
  }

  #allowed({ by, note }: ApprovalItem, place: string): Chunk {
    return { type: "tool-output-available", toolCallId: place, output: { approved: true, by, note } };
  }

  /** The run has ended: what was allowed and not done is told as decided, so that no part stays open. */
  *settle(): Generator<Chunk> {
    for (const item of this.#approvals.values()) {
      const [place] = this.#places.get(item.id) ?? [];
      if (this.#asked.get(item.id) !== "granted" || place === undefined || this.#calls.has(place)) continue;
      this.#asked.set(item.id, "done");
      yield this.#allowed(item, place);
    }
  }
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
