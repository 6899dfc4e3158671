// Owns the four doors of a workflow: open or shut, and by which gates.

import { Glyph } from "holdfast-look";

import type { GateFacts, WorkflowPlan } from "./api.js";
import { DOORS, doorShown, VERDICTS, workflowAddress } from "./words.js";

const NAMED = 4; // gates named on a door; the rest are counted

export function DoorRow({ plan: { workflow, doors, next_door, mode }, facts }: { plan: WorkflowPlan; facts: readonly GateFacts[] }) {
  const titles = new Map(facts.map(({ gate, title }) => [gate, title]));
  const unbuilt = new Set(facts.filter(({ built }) => !built).map(({ gate }) => gate));
  const named = (gates: readonly string[]) => gates.slice(0, NAMED).map((gate, at) => <span key={gate}>{at ? ", " : ""}<a href={workflowAddress(workflow, gate)} title={titles.get(gate)}>{gate}</a></span>);
  return (
    <ol class="doors" aria-label="Doors">{doors.map((one) => {
      const shown = doorShown(one);
      const dark = one.unknown.filter((gate) => !unbuilt.has(gate));
      const missing = one.unknown.length - dark.length;
      return (
        <li key={one.door} data-door={one.door} data-verdict={shown} aria-current={one.door === next_door ? "step" : undefined}>
          <header><span class="gate-verdict" data-verdict={shown}><Glyph name={VERDICTS[shown].glyph} /><span>{one.open ? "open" : shown === "fail" ? "shut" : "unknown"}</span></span><b>{DOORS[one.door].name}</b>{one.door === next_door && <small>next</small>}</header>
          <p>{one.open ? `${DOORS[one.door].opens}.` : <>
            {one.shut_by.length > 0 && <>Shut by {named(one.shut_by)}{one.shut_by.length > NAMED ? ` and ${one.shut_by.length - NAMED} more` : ""}. </>}
            {dark.length > 0 && <>Nobody can tell {named(dark)}{dark.length > NAMED ? ` and ${dark.length - NAMED} more` : ""}. </>}
            {missing > 0 && <>{missing} not built yet. </>}
            {one.door === "R" && <>{mode === "observe" ? "It only observes: runs begin all the same." : shown === "fail" ? "Nothing new begins." : "What is unknown stops nothing that ran before."}</>}
          </>}</p>
        </li>
      );
    })}</ol>
  );
}
