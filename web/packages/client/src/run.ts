// Owns a run as seen by the person who asked for it.

import { HoldfastError } from "./errors.js";
import type { RunState } from "./protocol.js";
import type { RunReference, SessionPort } from "./session-port.js";

/** A run by id. Nothing happens to it when this object, or the connection, goes away. */
export class Run<InSession extends SessionPort = SessionPort> implements RunReference {
  readonly session: InSession;
  /** Empty when nothing was queued: the input was for nobody, or the agents are muted. */
  readonly id: string;
  /** Id of the input message it answers. */
  readonly input: string;
  /** A position at or after the one that queued it. */
  readonly seq: number;

  constructor(session: InSession, id: string, input = "", seq = 0) {
    this.session = session;
    this.id = id;
    this.input = input;
    this.seq = seq;
  }

  /** The run as the view shows it now, while the session is followed. */
  get state(): RunState | undefined {
    return this.session.view.runs.get(this.id);
  }

  /** Stop it; `force` without any grace. Rejects with `run.ended` when there is nothing left to stop. */
  async cancel(options: { force?: boolean; version?: number; reason?: string } = {}): Promise<void> {
    await this.session.cancel({ run: this.id, ...options });
  }

  /** Put words into it while it runs; resolves with the steer's id. */
  steer(text: string): Promise<string> {
    return this.session.steer(this.id, text);
  }

  /** Wait for its end: `status`, and `error` when it failed. Rejects with `run.not_found` when nobody knows it. */
  async finished(): Promise<RunState> {
    const state = await (await import("./outcome.js")).waitForEnd(this);
    if (state) return state;
    throw new HoldfastError({ code: "run.not_found", message: `No run ${this.id}` });
  }

  /** Wait for its end; resolves with what it said: the texts of its messages, joined by blank lines. */
  async text(): Promise<string> {
    const run = await this.finished();
    return (await import("./outcome.js")).runText(this.session, run);
  }
}
