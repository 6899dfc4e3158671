// Owns the hook for what is computed from a view.

import { useMemo } from "react";
import type { Session } from "../session.js";
import type { View } from "../view.js";
import { useChangeCount } from "./frame-scheduler.js";

/** What `select` makes of the session's view, computed again after it changed. The view grows in place: return copies. */
export function useView<T>(session: Session, select: (view: View) => T): T {
  const count = useChangeCount(session);
  return useMemo(() => select(session.view), [session, session.view, count, select]);
}
