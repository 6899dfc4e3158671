// Owns what workflows cost this week and the week before, beside what an accepted piece of work costs. Pure; amounts are nano-USD.

import type { Spend } from "../governance/api.js";
import type { ModelRow } from "../governance/control-api.js";
import { nanoOf } from "../governance/figures.js";

export interface WorkflowSpend {
  workflow: string;
  billed: number;
  before: number;
  estimated: number;
  /** Rows without a price, which no sum counts. */
  unpriced: number;
  n: number;
  accepted: number;
  /** Null where a cost is not known, or nothing was accepted. */
  each: number | null;
}

/** Cost per accepted outcome over all models of a workflow. */
export function costPerAccepted(rows: readonly ModelRow[]): { n: number; accepted: number; each: number | null } {
  const judged = rows.filter(({ n }) => n > 0);
  const n = judged.reduce((sum, row) => sum + row.n, 0);
  const accepted = judged.reduce((sum, row) => sum + row.accepted, 0);
  const costs = judged.map((row) => { const each = nanoOf(row.each_usd); return each === null ? null : each * row.n; });
  return { n, accepted, each: !accepted || costs.includes(null) ? null : Math.round(costs.reduce<number>((sum, cost) => sum + cost!, 0) / accepted) };
}

/** Workflows by what they cost, the most first. */
export function spendByWorkflow(now: Spend, before: Spend, models: readonly ModelRow[]): WorkflowSpend[] {
  const was = new Map(before.groups.filter(({ rest }) => !rest).map(({ values: [name = ""], figures }) => [name, figures.billed_nano]));
  return now.groups.filter(({ rest }) => !rest).map(({ values: [workflow = ""], figures }) => ({
    workflow, billed: figures.billed_nano, before: was.get(workflow) ?? 0, estimated: figures.estimated, unpriced: figures.unpriced,
    ...costPerAccepted(models.filter((row) => row.workflow === workflow)),
  })).sort((one, other) => other.billed - one.billed);
}
