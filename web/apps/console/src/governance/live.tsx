// Owns what is shown of an answer that is asked for again and again: the last one stays while the server does not answer.

import type { ComponentChildren } from "preact";

import { usePolled } from "../console.js";
import { type Answer, Answered } from "./answer.js";

export const LIVE_MS = 3_000;
const SLOW_MS = 10_000;

/** An answer that is refreshed every few seconds while the page is visible; "" asks nothing. */
export const useLive = <T,>(path: string, slow = false): Answer<T> => usePolled<T>(path, slow ? SLOW_MS : LIVE_MS);

export function Live<T>({ answer, children, rows = 4 }: { answer: Answer<T>; children: (data: T) => ComponentChildren; rows?: number }) {
  if (answer.data === null) return <Answered answer={answer} rows={rows}>{children}</Answered>;
  return <>{answer.error && <p class="stale" role="status"><b>Not refreshed.</b> {answer.error.message} What is shown is of a moment ago.</p>}{children(answer.data)}</>;
}
