// Owns the hook for who is here.

import type { Here } from "../protocol.js";
import type { Session } from "../session.js";
import { usePulse } from "./frame-scheduler.js";

/** Who is in the session now. */
export function usePresence(session: Session): readonly Here[] {
  usePulse(session);
  return session.here;
}
