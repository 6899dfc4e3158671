// Owns what needs somebody today: each entry says what, how much, and what to do; and that there is nothing when there is nothing.

import type { ComponentChildren } from "preact";

import { type PriceChange, routeOf, type Spend, type UnknownCaller, type WorkflowRow } from "./api.js";
import { useAnswer } from "./answer.js";
import { Money, usd } from "./figures.js";
import { moneyAddress } from "./frame.js";
import type { Period } from "./period.js";

export function Attention({ period }: { period: Period }) {
  const span: [string, string][] = [["since", period.since], ["until", period.until]];
  const total = useAnswer<Spend>(routeOf("ledger/spend", span));
  const unassigned = useAnswer<Spend>(routeOf("ledger/spend", [...span, ["where", "workflow:unassigned"]]));
  const broken = useAnswer<Spend>(routeOf("ledger/spend", [...span, ["where", "outcome:failed"], ["where", "outcome:cut"]]));
  const workflows = useAnswer<{ workflows: WorkflowRow[] }>(routeOf("organisation/workflows"));
  const changes = useAnswer<PriceChange[]>(routeOf("prices/changes", [["state", "proposed"]]));
  const callers = useAnswer<{ callers: UnknownCaller[] }>(routeOf("keys/unknown"));
  const answers = [total, unassigned, broken, workflows, changes, callers];
  if (answers.some(({ data, error }) => data === null && error === null)) return null;
  const rows = (...where: string[]) => moneyAddress("rows", [["period", `${period.since}/${period.until}`], ...where.map((each): [string, string] => ["where", each])]);
  const undeclared = workflows.data?.workflows.filter(({ declared }) => !declared) ?? [];
  const entries: ComponentChildren[] = [];
  if (changes.data?.length) entries.push(<>{changes.data.length === 1 ? "A change of prices waits" : `${changes.data.length} changes of prices wait`} for somebody to decide. <a href={moneyAddress("prices")}>Decide</a></>);
  if (total.data?.total.unpriced) entries.push(<><b>{total.data.total.unpriced.toLocaleString()} rows</b> have no price: what they cost is not in any sum here. <a href={moneyAddress("prices")}>Price them</a></>);
  if (unassigned.data?.total.rows) entries.push(<><Money nano={unassigned.data.total.billed_nano} href={rows("workflow:unassigned")} /> belong to no workflow that anybody described{undeclared.length ? ` (${undeclared.slice(0, 3).map(({ name }) => name).join(", ")}${undeclared.length > 3 ? " …" : ""})` : ""}. <a href={moneyAddress("callers")}>Name them</a></>);
  if (callers.data?.callers.length) {
    const calls = callers.data.callers.reduce((sum, caller) => sum + caller.calls, 0);
    entries.push(<><b>{calls.toLocaleString()} calls</b> came without a key that is known, of {callers.data.callers.length === 1 ? "one caller" : `${callers.data.callers.length} callers`}. <a href={moneyAddress("callers")}>See who</a></>);
  }
  if (broken.data?.total.billed_nano) entries.push(<><Money nano={broken.data.total.billed_nano} estimated={broken.data.total.estimated} href={rows("outcome:failed", "outcome:cut")} /> went into attempts that failed or were cut. <a href={moneyAddress("waste", [["period", period.name]])}>See the waste</a></>);
  return (
    <section class="attention" aria-label="What needs somebody">
      {entries.length ? <ul>{entries.map((entry, at) => <li key={at}>{entry}</li>)}</ul> : <p>Nothing here needs you today{total.data ? ` (${usd(total.data.total.billed_nano)} spent, all of it priced and named)` : ""}.</p>}
    </section>
  );
}
