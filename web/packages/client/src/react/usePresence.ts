// Owns the hook for who is here.

import type { PresenceEntry } from "../protocol.js";
import type { Session } from "../session.js";
import { useChangeCount } from "./frame-scheduler.js";

/** Who is in the session now. */
export function usePresence(session: Session): readonly PresenceEntry[] {
  useChangeCount(session);
  return session.here;
}
