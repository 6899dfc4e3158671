// Owns the page on budgets: who is close to the cap today, who waits for more, what did not fit, and what is to be expected.

import type { ComponentChildren } from "preact";

import type { Account, BudgetAlert, BudgetForecast, BudgetList, RaiseRequest, Refusals } from "./control-api.js";
import { routeOf } from "./api.js";
import { Answered, useAnswer } from "./answer.js";
import { BarKey, BudgetBar, MannerBadge, NearWords, Stranded } from "./budget-bar.js";
import { accountName, budgetAddress, type BudgetGroup, byNearness, groupsOf, isClose, isPassing, isSpent, kindWords, leftWords, mannerOf, payerWords, rowsAddress, scopeWords, spanOf, usedShare, whoWords } from "./budget-words.js";
import { exactUsd, Money, usd } from "./figures.js";
import { ForecastTable } from "./forecasts.js";
import { MoneyFrame, moneyAddress } from "./frame.js";
import { Live, useLive } from "./live.js";
import { DecidedRequests, WaitingRequests } from "./raise-requests.js";
import { Refused } from "./refused.js";
import { timeIn } from "./rows.js";
import { type Column, DataTable } from "./table.js";

export function BudgetsPage({ query }: { query: URLSearchParams }) {
  return (
    <MoneyFrame page="budgets" title="Budgets" query={query} periods={false} command={() => "holdfast budget list"} question="Who is close to the cap today, who waits for more, and who was refused although the money was there?">
      {(_, { time_zone }) => <BudgetsOf zone={time_zone} />}
    </MoneyFrame>
  );
}

function BudgetsOf({ zone }: { zone: string }) {
  const list = useLive<BudgetList>(routeOf("budgets"));
  const requests = useLive<{ requests: RaiseRequest[] }>(routeOf("budgets/requests"));
  const refusals = useLive<Refusals>(routeOf("budgets/refusals", [["limit", "200"]]), true);
  const alerts = useLive<{ alerts: BudgetAlert[] }>(routeOf("budgets/alerts", [["limit", "20"]]), true);
  const forecasts = useAnswer<{ forecasts: BudgetForecast[] }>(routeOf("budgets/forecast", [["limit", "50"]]));
  const time = timeIn(zone);
  const changed = () => { list.refresh(); requests.refresh(); };
  return (
    <>
      <Live answer={list} rows={6}>{({ accounts, now_ms }) => (
        <>
          {accounts.length > 0 && <Needing groups={groupsOf(accounts)} requests={requests.data?.requests ?? []} refusals={refusals.data} forecasts={forecasts.data?.forecasts ?? []} />}
          {requests.data && <WaitingRequests requests={requests.data.requests} now={now_ms} changed={changed} />}
          <AccountTable accounts={groupsOf(accounts).map(({ nearest }) => nearest)} groups={groupsOf(accounts)} now={now_ms} label="Budgets, the closest to its cap first" />
          {accounts.length > 0 && <BarKey />}
        </>
      )}</Live>
      <Live answer={refusals}>{(found) => <Refused found={found} time={time} />}</Live>
      <Answered answer={forecasts}>{(found) => <ForecastTable forecasts={found.forecasts} />}</Answered>
      <Live answer={alerts}>{(found) => <AlertTable alerts={found.alerts} names={new Map(list.data?.accounts.map(({ budget }) => [budget.id, budget.name]))} time={time} />}</Live>
      {requests.data && <DecidedRequests requests={requests.data.requests} time={time} />}
    </>
  );
}

/** What needs somebody today, the worst first. */
function Needing({ groups, requests, refusals, forecasts }: { groups: readonly BudgetGroup[]; requests: readonly RaiseRequest[]; refusals: Refusals | null; forecasts: readonly BudgetForecast[] }) {
  const entries: ComponentChildren[] = [];
  const wrong = (refusals?.reasons ?? []).reduce((sum, one) => sum + (one.mode === "enforce" ? one.false : 0), 0);
  if (wrong) entries.push(<><b>{wrong === 1 ? "One call was" : `${wrong.toLocaleString()} calls were`} refused although the money was there</b>, held by calls that did not come to use it: raise the cap, or have fewer calls at a time.</>);
  const waiting = requests.filter(({ state }) => state === "waiting").length;
  if (waiting) entries.push(<><b>{waiting === 1 ? "A request to raise a budget waits" : `${waiting} requests to raise budgets wait`}</b>, below.</>);
  const spent = groups.filter(({ nearest }) => isSpent(nearest) && (!isPassing(nearest.budget) || nearest.refused > 0)); // a run that is over needs nobody
  for (const { nearest: account, count, spent: all } of spent.slice(0, 3)) {
    const { budget, spent_nano, reserved_nano } = account;
    const money = count > 1 ? `${all.toLocaleString()} of its ${count.toLocaleString()} have nothing left, ${account.subject} the least` : `has nothing left: ${usd(spent_nano)} spent${reserved_nano ? ` and ${usd(reserved_nano)} held` : ""} of ${usd(budget.cap_nano)}`;
    const done = mannerOf(budget) === "enforced" ? (account.refused ? `; ${account.refused === 1 ? "1 call was" : `${account.refused.toLocaleString()} calls were`} refused` : "; the next call is refused") : ", and what does not fit is let through";
    entries.push(<><a href={budgetAddress(budget)}>{budget.name}</a> {money}{done}. {budget.decider ? whoWords(budget.decider) : payerWords(budget.payer)} can raise it.</>);
  }
  if (spent.length > 3) entries.push(<>{spent.length - 3} more have nothing left.</>);
  const close = groups.map(({ nearest }) => nearest).filter((account) => !isSpent(account) && isClose(account) && !isPassing(account.budget));
  if (close.length) entries.push(<>Close to the cap: {close.slice(0, 4).map((account, at) => <span key={accountName(account)}>{at ? ", " : ""}<a href={budgetAddress(account.budget)}>{accountName(account)}</a> ({Math.floor(100 * usedShare(account))} %)</span>)}{close.length > 4 ? ` and ${close.length - 4} more` : ""}.</>);
  const likely = forecasts.filter(({ over_ppm, account }) => (over_ppm ?? 0) >= 500_000 && !spent.some(({ nearest }) => nearest.budget.id === account.budget.id));
  if (likely.length) entries.push(<>More likely than not to pass the cap before the window ends: {likely.slice(0, 4).map(({ account }, at) => <span key={accountName(account)}>{at ? ", " : ""}<a href={budgetAddress(account.budget)}>{accountName(account)}</a></span>)}.</>);
  const open = groups.map(({ nearest }) => nearest.budget).filter(({ approved }) => !approved);
  if (open.length) entries.push(<>{open.length === 1 ? "The payer has" : "Payers have"} not agreed to the cap of {open.slice(0, 4).map((budget, at) => <span key={budget.id}>{at ? ", " : ""}<a href={budgetAddress(budget)}>{budget.name}</a></span>)}{open.length > 4 ? ` and ${open.length - 4} more` : ""}. It counts all the same.</>);
  return <section class="attention" aria-label="What needs somebody">{entries.length ? <ul>{entries.map((entry, at) => <li key={at}>{entry}</li>)}</ul> : <p>Nothing here needs you today: no budget is close to its cap, and nobody waits.</p>}</section>;
}

export function AccountTable({ accounts, groups = [], now, label, named = true }: { accounts: readonly Account[]; groups?: readonly BudgetGroup[]; now: number; label: string; named?: boolean }) {
  const several = new Map(groups.filter(({ count }) => count > 1).map((group) => [group.nearest.budget.id, group]));
  const columns: Column<Account>[] = [
    { name: "budget", label: named ? "budget" : "of", kind: "wide", value: accountName, cell: (account) => <><a href={moneyAddress("budgets", account.subject ? [["of", account.subject]] : [], account.budget.id)}>{named ? accountName(account) : account.subject || "all"}</a><small class="under">{scopeWords(account.budget)}{several.has(account.budget.id) ? `: the closest of ${several.get(account.budget.id)!.count.toLocaleString()}` : ""}</small></> },
    { name: "used", label: "used", value: (account) => (Number.isFinite(usedShare(account)) ? Math.round(1e4 * usedShare(account)) / 1e4 : null), order: usedShare, cell: (account) => <span class="used"><BudgetBar account={account} /><NearWords account={account} /></span> },
    { name: "spent_usd", label: "spent", kind: "number", value: ({ spent_nano }) => exactUsd(spent_nano), order: ({ spent_nano }) => spent_nano, cell: (account) => <Money nano={account.spent_nano} href={rowsAddress(account)} /> },
    { name: "held_usd", label: "held now", kind: "number", value: ({ reserved_nano }) => exactUsd(reserved_nano), order: ({ reserved_nano }) => reserved_nano, cell: ({ reserved_nano, attempts, budget }) => <><Money nano={reserved_nano} href={attempts ? budgetAddress(budget) : undefined} />{attempts ? <small class="under">{attempts === 1 ? "1 call" : `${attempts.toLocaleString()} calls`}</small> : null}</> },
    { name: "cap_usd", label: "cap", kind: "number", value: ({ budget }) => exactUsd(budget.cap_nano), order: ({ budget }) => budget.cap_nano, cell: ({ budget }) => <><Money nano={budget.cap_nano} /><small class="under">{spanOf(budget)}</small></> },
    { name: "stranded", label: "stranded", kind: "number", value: ({ stranded_ppm }) => (stranded_ppm === null ? null : stranded_ppm / 1e6), order: ({ stranded_ppm }) => stranded_ppm ?? -1, cell: ({ stranded_ppm }) => <Stranded ppm={stranded_ppm} /> },
    { name: "refused", label: "did not fit", kind: "number", value: ({ refused }) => refused, order: ({ refused, observed }) => refused + observed, cell: ({ refused, observed, budget }) => (refused || observed ? <a href={budgetAddress(budget)}>{[refused ? `${refused.toLocaleString()} refused` : "", observed ? `${observed.toLocaleString()} observed` : ""].filter(Boolean).join(", ")}</a> : "none") },
    { name: "mode", label: "mode", value: ({ budget }) => mannerOf(budget), cell: ({ budget }) => <MannerBadge budget={budget} /> },
    { name: "payer", label: "payer · decides", value: ({ budget }) => budget.payer, cell: ({ budget }) => <>{payerWords(budget.payer)}<small class="under">{budget.decider ? whoWords(budget.decider) : "nobody named"}{budget.approved ? "" : " · not agreed"}</small></> },
    { name: "closes", label: "window ends", value: ({ closes_ms }) => (closes_ms === null ? null : new Date(closes_ms).toISOString()), order: ({ closes_ms }) => closes_ms ?? Infinity, cell: ({ closes_ms, budget, opens_ms }) => (closes_ms === null ? (budget.span === "rolling" && opens_ms ? "rolls on" : budget.span === "total" ? "never" : <small>nothing spent yet</small>) : <>in {leftWords(closes_ms - now)}</>) },
    { name: "observed", label: "observed", value: ({ observed }) => observed, hidden: true }, { name: "scope", label: "scope", value: ({ budget }) => scopeWords(budget), hidden: true },
    { name: "free_usd", label: "free", value: ({ free_nano }) => exactUsd(free_nano), hidden: true }, { name: "decider", label: "decider", value: ({ budget }) => budget.decider, hidden: true },
  ];
  return <DataTable label={label} columns={columns} rows={groups.length ? accounts : [...accounts].sort(byNearness)} file="budgets" keyOf={({ budget, subject }) => `${budget.name}${subject && ` ${subject}`}`} empty="No budget yet. The first one only observes: holdfast budget set NAME --usd 25 --per week --team TEAM" />;
}

export function AlertTable({ alerts, names, time }: { alerts: readonly BudgetAlert[]; names: ReadonlyMap<string, string>; time: (ms: number) => string }) {
  const columns: Column<BudgetAlert>[] = [
    { name: "at", label: "when", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: ({ at_ms }) => time(at_ms) },
    { name: "budget", label: "budget", value: ({ budget }) => names.get(budget) ?? budget, cell: ({ budget }) => <a href={budgetAddress({ id: budget })}>{names.get(budget) ?? budget}</a> },
    { name: "kind", label: "kind", value: ({ kind }) => kind, cell: ({ kind }) => kindWords(kind) },
    { name: "text", label: "what was told", kind: "wide", value: ({ text }) => text },
    { name: "sent", label: "told by", value: ({ sent }) => Object.entries(sent).map(([way, { state }]) => `${way}: ${state}`).join("; "), cell: ({ sent }) => (Object.keys(sent).length ? Object.entries(sent).map(([way, { state, why }]) => <span key={way} title={why}>{way}: {state} </span>) : <small>this page only</small>) },
  ];
  return <DataTable label="Alerts, the newest first" columns={columns} rows={alerts} file="budget-alerts" keyOf={({ id }) => id} empty="Nobody had to be told of anything." />;
}
