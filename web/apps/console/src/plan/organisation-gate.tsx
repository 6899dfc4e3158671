// Owns the page of a gate that is the organisation's: one verdict for every workflow, with its evidence.

import { Answered, useAnswer } from "../governance/answer.js";
import { routeOf } from "../governance/api.js";
import type { PlanStatus } from "./api.js";
import { Evidence } from "./evidence.js";
import { Calm, PlanFrame } from "./frame.js";
import { GateRow } from "./gate-list.js";
import { planAddress, workflowAddress } from "./words.js";

export function OrganisationGatePage({ gate }: { gate: string }) {
  const status = useAnswer<PlanStatus>(routeOf("plan"));
  const title = status.data?.gates.find((each) => each.gate === gate)?.title;
  return (
    <PlanFrame page="gate" title={`Gate ${gate}${title ? `: ${title}` : ""}`} question="What does it say, on what, and whom does it hold up?" command={`holdfast plan explain ${gate}`}>
      <Answered answer={status}>{({ workflows, gates, zone, as_of_ms: now }) => {
        const facts = gates.find((each) => each.gate === gate);
        const found = workflows.flatMap(({ gates: own }) => own).find((each) => each.gate === gate);
        if (!facts || !found) return <Calm>There is no gate {gate}, or no workflow that it could hold up. <a href={planAddress()}>Monday</a></Calm>;
        if (facts.span === "workflow") return <Calm>This gate is asked of each workflow: {workflows.map(({ workflow }, at) => <span key={workflow}>{at ? ", " : ""}<a href={workflowAddress(workflow, gate)}>{workflow}</a></span>)}.</Calm>;
        return <><ul class="gates"><GateRow gate={found} facts={facts} plan={null} workflow="" doors={[]} open={false} zone={zone} now={now} changed={status.refresh} /></ul><div class="gate-alone"><Evidence gate={gate} workflow="" zone={zone} now={now} /></div></>;
      }}</Answered>
    </PlanFrame>
  );
}
