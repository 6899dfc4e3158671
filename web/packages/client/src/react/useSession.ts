// Owns the hook for one session.

import type { Session } from "../session.js";
import { useHoldfast } from "./context.js";
import { useChangeCount } from "./frame-scheduler.js";

/** A session by id, followed while the component is mounted; draws again after anything in it changed. */
export function useSession(id: string): Session {
  const session = useHoldfast().session(id);
  useChangeCount(session);
  return session;
}
