// Owns the hook for tools that run in this page.

import { useEffect, useRef } from "react";
import type { Session } from "../session.js";
import { serveTools, type Tools } from "../tools.js";
import { useHoldfast } from "./context.js";

/** Have this page run tools of the session's agents while the component is mounted; the newest functions are called. */
export function useTools(session: Session, tools: Tools): void {
  const client = useHoldfast();
  const latest = useRef(tools);
  latest.current = tools;
  const names = Object.keys(tools).sort().join(" "); // with another tool, calls that wait are looked at again
  useEffect(() => serveTools(client, session, () => latest.current), [client, session, names]);
}
