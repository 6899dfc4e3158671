// Owns the hook for one run.

import { useCallback } from "react";
import type { RunState } from "../protocol.js";
import type { Session } from "../session.js";
import type { View } from "../view.js";
import { copyOf } from "./copies.js";
import { useView } from "./useView.js";

/** How a run stands, or undefined when the view does not know it; without an id, the newest root run. */
export function useRun(session: Session, id?: string): RunState | undefined {
  const find = useCallback(
    (view: View) => {
      const run = id === undefined ? newest(view) : view.runs.get(id);
      return run && copyOf(view, run);
    },
    [id],
  );
  return useView(session, find);
}

function newest(view: View): RunState | undefined {
  let found;
  for (const run of view.runs.values()) if (run.parent === undefined) found = run;
  return found;
}
