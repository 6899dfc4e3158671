// Owns what a stop stops, and what became of it.

import { ended, type Op, type RunState, type Session } from "holdfast-ai";

/** Root runs that have not ended: what a stop stops. */
export const openRuns = (session: Session | null): RunState[] =>
  session === null ? [] : [...session.view.runs.values()].filter((run) => run.parent === undefined && !ended(run));

/** Those of them that are queued or running: what can be steered. */
export const activeRuns = (session: Session | null): RunState[] => openRuns(session).filter(({ status }) => status !== "waiting");

/** Runs whose stop is on its way to the server. */
export const stopsSent = (sending: readonly Op[]): ReadonlySet<unknown> =>
  new Set(sending.filter(({ op }) => op === "cancel").map(({ run }) => run));
