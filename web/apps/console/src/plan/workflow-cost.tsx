// Owns what an accepted piece of a workflow's work costs: the change of a week first, then the figure with its n, by model.

import { Answered, useAnswer } from "../governance/answer.js";
import { type OrganisationDay, routeOf, type Spend } from "../governance/api.js";
import type { ModelRow, RoutingReport } from "../governance/control-api.js";
import { exactUsd, Money, nanoOf, Unknown } from "../governance/figures.js";
import { moneyAddress } from "../governance/frame.js";
import { dayAfter } from "../governance/period.js";
import { type Column, DataTable } from "../governance/table.js";
import { Calm, PlanPart } from "./frame.js";
import { costPerAccepted } from "./spend.js";

export function CostPerAccepted({ workflow }: { workflow: string }) {
  const organisation = useAnswer<OrganisationDay>(routeOf("organisation"));
  const report = useAnswer<RoutingReport>(routeOf("routing/report"));
  const today = organisation.data?.day ?? "";
  const span = (first: number, last: number) => (today ? routeOf("ledger/spend", [["since", dayAfter(today, first)], ["until", dayAfter(today, last)], ["where", `workflow:${workflow}`]]) : "");
  const week = useAnswer<Spend>(span(-7, -1));
  const before = useAnswer<Spend>(span(-14, -8));
  const rows = moneyAddress("rows", [["period", today ? `${dayAfter(today, -7)}/${dayAfter(today, -1)}` : ""], ["where", `workflow:${workflow}`]]);
  return (
    <PlanPart title="Cost per accepted outcome">
      <Answered answer={report}>{({ models }) => {
        const own = models.filter((row) => row.workflow === workflow);
        const { n, accepted, each } = costPerAccepted(own);
        return (
          <>
            <dl class="figures">
              <div class="first"><dt>each accepted outcome, 90 days</dt><dd>{each === null ? <Unknown why={n ? "nothing was accepted, or a cost is not known" : "nobody has said what became of its work"} /> : <Money nano={each} href={moneyAddress("routing")} />}</dd></div>
              <div><dt>accepted</dt><dd>{n ? <a href={moneyAddress("outcomes")}>{accepted} of {n}</a> : <Unknown why="no outcome" />}</dd></div>
              <div><dt>since the week before</dt><dd>{week.data && before.data ? <Money nano={week.data.total.billed_nano - before.data.total.billed_nano} signed /> : "…"}</dd></div>
              <div><dt>7 days</dt><dd>{week.data ? <Money nano={week.data.total.billed_nano} estimated={week.data.total.estimated} href={rows} /> : "…"}</dd></div>
            </dl>
            {own.length > 0 ? <Models rows={own} workflow={workflow} /> : <Calm>Nobody has said what became of its work: <code>holdfast outcomes record accepted --call ID</code></Calm>}
          </>
        );
      }}</Answered>
    </PlanPart>
  );
}

function Models({ rows, workflow }: { rows: readonly ModelRow[]; workflow: string }) {
  const columns: Column<ModelRow>[] = [
    { name: "model", label: "model · task", kind: "wide", value: ({ model }) => model, cell: ({ model, task }) => <>{model || "several models"} <small>{task}</small></> }, { name: "task", label: "task", value: ({ task }) => task, hidden: true },
    { name: "accepted", label: "accepted", kind: "number", value: ({ accepted }) => accepted, cell: ({ accepted, n }) => (n ? `${accepted} of ${n}` : <Unknown why="no outcome" />) }, { name: "n", label: "n", value: ({ n }) => n, hidden: true },
    { name: "per_accepted_usd", label: "each accepted", kind: "number", value: ({ accepted_usd }) => accepted_usd, order: ({ accepted_usd }) => Number(accepted_usd ?? -1), cell: ({ accepted_usd }) => { const nano = nanoOf(accepted_usd); return nano === null ? <Unknown why="nothing was accepted, or a cost is not known" /> : <Money nano={nano} />; } },
    { name: "exact", label: "exact USD", value: ({ accepted_usd }) => { const nano = nanoOf(accepted_usd); return nano === null ? null : exactUsd(nano); }, hidden: true },
  ];
  return <DataTable label="By model" columns={columns} rows={rows} file={`cost-per-accepted-${workflow}`} keyOf={({ model, task }) => `${model} ${task}`} empty="No outcomes." />;
}
