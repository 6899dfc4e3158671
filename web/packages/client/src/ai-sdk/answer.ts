// Owns one run's answer as a UI message stream: what the session's view shows of the run is compared with what was told,
// so a stream may begin anywhere and go on after any loss, without a repeat. One SDK message is one root run.

import type { Item, RunState } from "../protocol.js";
import type { Session } from "../session.js";
import { ended, type View } from "../view.js";
import type { Chunk, Version } from "./calls.js";
import { Parts } from "./parts.js";

const UNSETTLED = ["open", "called", "pending"];

/** The run and its sub-runs, parents first. */
export function family(view: View, root: string): Map<string, RunState> {
  const found = new Map<string, RunState>();
  for (const [id, run] of view.runs) if (id === root || found.has(run.parent ?? "")) found.set(id, run);
  return found;
}

export class Answer {
  /** The last chunk was told. */
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

  /** The client comes back to this message with answers to approvals: it is told what came since. */
  goOn(): void {
    this.done = false;
    this.#started = false;
  }

  /** What the view shows of the run and was not told. */
  *tell(view: View): Generator<Chunk> {
    const runs = family(view, this.#run);
    const root = runs.get(this.#run);
    if (this.done || !root) return;
    this.parts.runs = runs;
    const items = view.items.filter(({ run }) => run !== undefined && runs.has(run));
    this.parts.calls.learn(items);
    if (!this.#started) {
      this.#started = true;
      const again = this.parts.begun; // within a step the SDK finds the tool calls it has
      const about = { session: this.#session, run: this.#run, agent: root.agent, input: root.input };
      yield { type: "start", messageId: this.#run, messageMetadata: { holdfast: about } };
      if (!again) yield { type: "start-step" };
    }
    if (Object.keys((view.state ?? {}) as object).length) yield* this.parts.data("state", "state", view.state);
    const below = [...runs.values()].filter(({ id }) => id !== this.#run);
    const things = [...items, ...below].sort((one, other) => one.seq - other.seq); // as they would have been told
    for (const thing of things) yield* "kind" in thing ? this.parts.item(thing) : this.parts.subRun(thing);
    if (ended(root)) yield* this.#end(root);
    else if (this.#version >= 6 && this.#waitsForPeople(runs, items)) yield* this.#pause(items);
  }

  /** The stream ends before the run does: nothing stays open, and the SDK sees an error. */
  *broken(view: View, why: string): Generator<Chunk> {
    if (this.done) return;
    this.done = true;
    yield* this.parts.closeTexts(view.items);
    yield { type: "error", errorText: why };
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
    yield* this.parts.calls.settle();
    const messageMetadata = { holdfast: { status, ...(error && { error }), ...(cancel && { by: cancel.by, ...(cancel.reason && { reason: cancel.reason }) }) } };
    if (status === "completed") {
      yield { type: "finish-step" };
      yield { type: "finish", ...(this.#version < 6 ? {} : { finishReason: "stop" }), messageMetadata };
      return;
    }
    yield { type: "message-metadata", messageMetadata };
    const words = error?.message ?? (status === "lost" ? "no worker finished it" : "the agent failed");
    if (status === "cancelled") yield { type: "abort" };
    else yield { type: "error", errorText: `${status}: ${words}` };
  }

  /** Somebody must decide before more can be expected: the SDK sends its answer when the stream has ended. */
  #waitsForPeople(runs: Map<string, RunState>, items: Item[]): boolean {
    const blocked = new Set<string>();
    for (const item of items) {
      if (item.kind !== "approval" || !this.parts.calls.awaits(item)) continue;
      for (let run = item.run; run !== undefined; run = runs.get(run)?.parent) blocked.add(run); // those above wait for it
    }
    return blocked.size > 0 && items.every((item) =>
      !("status" in item) || !UNSETTLED.includes(item.status) || blocked.has(item.run ?? "")
      || ["approval", "steer", "step"].includes(item.kind));
  }
}

/** Stream an answer until it ends, or waits for people. Whoever stops to read it stops nothing else (CTL-1). */
export function streamOf(session: Session, answer: Answer, since: number): ReadableStream<Chunk> {
  let leave = () => {};
  return new ReadableStream<Chunk>({
    start: (controller) => {
      const put = (chunks: Iterable<Chunk>) => {
        for (const chunk of chunks) controller.enqueue(chunk);
      };
      const look = () => {
        if (answer.done) return;
        const { view, error, status } = session;
        if (error) put(answer.broken(view, error.message));
        else if ((session.cursor?.seq ?? -1) >= since && (status === "live" || status === "catching-up")) put(answer.tell(view));
        if (!answer.done) return;
        leave();
        controller.close();
      };
      leave = session.follow(look);
      queueMicrotask(look);
    },
    cancel: () => leave(),
  });
}
