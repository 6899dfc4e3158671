// Owns the hook for the list of sessions.

import type { SessionRow } from "../protocol.js";
import { useHoldfast } from "./context.js";
import { useChangeCount } from "./frame-scheduler.js";

/** The principal's sessions, most recently active first, live. */
export function useSessions(): readonly SessionRow[] {
  const list = useHoldfast().sessions();
  useChangeCount(list);
  return list.rows;
}
