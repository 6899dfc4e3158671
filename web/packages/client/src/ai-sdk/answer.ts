// Owns one run's answer as a UI message stream: what the session's view shows of the run is compared with what was sent,
// so a stream may begin anywhere and go on after any loss, without a repeat. One SDK message is one root run.

import type { Item, RunState } from "../protocol.js";
import type { Session } from "../session.js";
import { ended, type View } from "../view.js";
import type { Chunk, Version } from "./calls.js";
import { Parts } from "./parts.js";

const UNFINISHED = ["open", "called", "pending"];

/** The run and its sub-runs, parents first. */
export function runTree(view: View, root: string): Map<string, RunState> {
  const tree = new Map<string, RunState>();
  for (const [id, run] of view.runs) if (id === root || tree.has(run.parent ?? "")) tree.set(id, run);
  return tree;
}

export class Answer {
  /** The last chunk was sent. */
  done = false;
  readonly parts: Parts;
  readonly #session: string;
  readonly #run: string;
  readonly #version: Version;
  #started = false;

  constructor(session: string, run: string, version: Version) {
    this.#session = session;
    this.#run = run;
    this.#version = version;
    this.parts = new Parts(run, version);
  }

  /** The client comes back to this message with answers to approvals: it is sent what came since. */
  resume(): void {
    this.done = false;
    this.#started = false;
  }

  /** What the view shows of the run and was not sent. */
  *chunks(view: View): Generator<Chunk> {
    const runs = runTree(view, this.#run);
    const root = runs.get(this.#run);
    if (this.done || !root) return;
    this.parts.runs = runs;
    const items = view.items.filter(({ run }) => run !== undefined && runs.has(run));
    this.parts.calls.index(items);
    if (!this.#started) {
      this.#started = true;
      const resumed = this.parts.started; // within a step the SDK finds the tool calls it has
      const metadata = { session: this.#session, run: this.#run, agent: root.agent, input: root.input };
      yield { type: "start", messageId: this.#run, messageMetadata: { holdfast: metadata } };
      if (!resumed) yield { type: "start-step" };
    }
    if (Object.keys((view.state ?? {}) as object).length) yield* this.parts.data("state", "state", view.state);
    const subRuns = [...runs.values()].filter(({ id }) => id !== this.#run);
    const entries = [...items, ...subRuns].sort((one, other) => one.seq - other.seq); // as they would have been sent
    for (const entry of entries) yield* "kind" in entry ? this.parts.item(entry) : this.parts.subRun(entry);
    if (ended(root)) yield* this.#end(root);
    else if (this.#version >= 6 && this.#waitsForDecision(runs, items)) yield* this.#pause(items);
  }

  /** The stream ends before the run does: nothing stays open, and the SDK sees an error. */
  *fail(view: View, message: string): Generator<Chunk> {
    if (this.done) return;
    this.done = true;
    yield* this.parts.closeTexts(view.items);
    yield { type: "error", errorText: message };
  }

  *#pause(items: Item[]): Generator<Chunk> {
    this.done = true;
    yield* this.parts.calls.pause();
    yield* this.parts.closeTexts(items);
    yield { type: "finish-step" };
    yield { type: "finish", finishReason: "tool-calls" };
  }

  *#end({ status, error, cancel }: RunState): Generator<Chunk> {
    this.done = true;
    yield* this.parts.calls.finishGrants();
    const messageMetadata = { holdfast: { status, ...(error && { error }), ...(cancel && { by: cancel.by, ...(cancel.reason && { reason: cancel.reason }) }) } };
    if (status === "completed") {
      yield { type: "finish-step" };
      yield { type: "finish", ...(this.#version < 6 ? {} : { finishReason: "stop" }), messageMetadata };
      return;
    }
    yield { type: "message-metadata", messageMetadata };
    const message = error?.message ?? (status === "lost" ? "no worker finished it" : "the agent failed");
    if (status === "cancelled") yield { type: "abort" };
    else yield { type: "error", errorText: `${status}: ${message}` };
  }

  /** Somebody must decide before more can be expected: the SDK sends its answer when the stream has ended. */
  #waitsForDecision(runs: Map<string, RunState>, items: Item[]): boolean {
    const blocked = new Set<string>();
    for (const item of items) {
      if (item.kind !== "approval" || !this.parts.calls.awaitsDecision(item)) continue;
      for (let run = item.run; run !== undefined; run = runs.get(run)?.parent) blocked.add(run); // those above wait for it
    }
    return blocked.size > 0 && items.every((item) =>
      !("status" in item) || !UNFINISHED.includes(item.status) || blocked.has(item.run ?? "")
      || ["approval", "steer", "step"].includes(item.kind));
  }
}

/** Stream an answer until it ends, or waits for people. Whoever stops to read it stops nothing else (CTL-1). */
export function streamOf(session: Session, answer: Answer, since: number): ReadableStream<Chunk> {
  let leave = () => {};
  return new ReadableStream<Chunk>({
    start: (controller) => {
      const enqueue = (chunks: Iterable<Chunk>) => {
        for (const chunk of chunks) controller.enqueue(chunk);
      };
      const update = () => {
        if (answer.done) return;
        const { view, error, status } = session;
        if (error) enqueue(answer.fail(view, error.message));
        else if ((session.cursor?.seq ?? -1) >= since && (status === "live" || status === "catching-up")) enqueue(answer.chunks(view));
        if (!answer.done) return;
        leave();
        controller.close();
      };
      leave = session.follow(update);
      queueMicrotask(update);
    },
    cancel: () => leave(),
  });
}
