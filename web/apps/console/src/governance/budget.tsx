// Owns the page of one budget: its money now, who holds it, what is to be expected, what did not fit, and what was changed of it.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import type { Account, BudgetAlert, BudgetChange, BudgetFacts, BudgetShown, RaiseRequest, Refusals, Reservation } from "./control-api.js";
import { routeOf } from "./api.js";
import { BarKey, BudgetBar, MannerBadge, NearWords, Stranded } from "./budget-bar.js";
import { accountName, byNearness, isClose, isSpent, leftWords, MANNERS, mannerOf, payerWords, rowsAddress, scopeWords, spanOf, whoWords } from "./budget-words.js";
import { AccountTable, AlertTable } from "./budgets.js";
import { exactUsd, Money, Unknown, usd } from "./figures.js";
import { ForecastOf } from "./forecasts.js";
import { MoneyFrame, moneyAddress, quoted } from "./frame.js";
import { Live, useLive } from "./live.js";
import { AskForMore, DecidedRequests, WaitingRequests } from "./raise-requests.js";
import { Refused } from "./refused.js";
import { timeIn } from "./rows.js";
import { type Column, DataTable } from "./table.js";

export function BudgetPage({ id, query }: { id: string; query: URLSearchParams }) {
  const shown = useLive<BudgetShown>(routeOf(`budgets/of/${encodeURIComponent(id)}`));
  const name = shown.data?.budget.name ?? id;
  return (
    <MoneyFrame page="budgets" title={name} query={query} periods={false} command={() => `holdfast budget show ${quoted(name)}`} question="How much is left, who holds it, and what will it have come to when the window ends?">
      {(_, { time_zone }) => <Live answer={shown} rows={6}>{(found) => <BudgetOf found={found} of={query.get("of") ?? ""} zone={time_zone} refresh={shown.refresh} />}</Live>}
    </MoneyFrame>
  );
}

function BudgetOf({ found: { budget, accounts, changes, now_ms }, of, zone, refresh }: { found: BudgetShown; of: string; zone: string; refresh: () => void }) {
  const operator = useConsole();
  const [asking, setAsking] = useState(false);
  const requests = useLive<{ requests: RaiseRequest[] }>(routeOf("budgets/requests"));
  const holds = useLive<{ reservations: Reservation[] }>(routeOf("budgets/reservations"));
  const refusals = useLive<Refusals>(routeOf("budgets/refusals", [["budget", budget.id], ["limit", "200"]]), true);
  const alerts = useLive<{ alerts: BudgetAlert[] }>(routeOf("budgets/alerts", [["limit", "500"]]), true);
  const time = timeIn(zone);
  const sorted = [...accounts].sort(byNearness);
  const account = sorted.find(({ subject }) => subject === of) ?? sorted[0];
  const mine = requests.data?.requests.filter((request) => request.budget === budget.id) ?? [];
  const changed = () => { refresh(); requests.refresh(); };
  return (
    <>
      <p class="filters"><a class="button" href={moneyAddress("budgets")}>all budgets</a> <MannerBadge budget={budget} /> <span>{scopeWords(budget)}; <Money nano={budget.cap_nano} /> {spanOf(budget)}. {MANNERS[mannerOf(budget)]}</span></p>
      {budget.ended_ms !== null && <p class="hatched block"><b>ended</b>: since {time(budget.ended_ms)} it bounds nothing any more.</p>}
      {account ? <MoneyNow account={account} several={accounts.length > 1} now={now_ms} zone={zone} /> : budget.ended_ms === null && <p class="calm">Nothing was spent of it in this window yet.</p>}
      <Whose budget={budget} time={time} />
      {asking ? <AskForMore budget={budget} close={() => setAsking(false)} changed={changed} /> : budget.ended_ms === null && (operator.may("spend") || operator.may("budget")) && <p class="row"><Button icon="plus" label="ask for more" onClick={() => setAsking(true)} /></p>}
      <WaitingRequests requests={mine} now={now_ms} changed={changed} />
      {accounts.length > 1 && <AccountTable accounts={accounts} now={now_ms} label={`Each ${budget.each}, the closest to its cap first`} named={false} />}
      {account && <ForecastOf key={account.subject} account={account} />}
      {holds.data && <Holding holds={holds.data.reservations.filter((hold) => hold.budget === budget.id)} now={now_ms} />}
      <Live answer={refusals}>{(all) => <Refused found={all} time={time} named={false} />}</Live>
      {alerts.data && <AlertTable alerts={alerts.data.alerts.filter((alert) => alert.budget === budget.id)} names={new Map([[budget.id, budget.name]])} time={time} />}
      <DecidedRequests requests={mine} time={time} />
      <Changes changes={changes} time={time} />
    </>
  );
}

function MoneyNow({ account, several, now, zone }: { account: Account; several: boolean; now: number; zone: string }) {
  const { spent_nano, reserved_nano, attempts, free_nano, closes_ms, stranded_ppm, refused, observed, rows } = account;
  return (
    <section class="money-now" aria-label="Money now" data-state={isSpent(account) ? "spent" : isClose(account) ? "close" : "calm"}>
      {several && <h2>{accountName(account)}</h2>}
      <dl class="figures">
        <div class="first"><dt>free</dt><dd><Money nano={free_nano} /> <NearWords account={account} /></dd></div>
        <div><dt>spent</dt><dd><Money nano={spent_nano} href={rowsAddress(account)} /></dd></div>
        <div><dt>held now</dt><dd><Money nano={reserved_nano} /> <small>{attempts === 0 ? "no call is under way" : attempts === 1 ? "by 1 call" : `by ${attempts.toLocaleString()} calls`}</small></dd></div>
        <div><dt>stranded</dt><dd><Stranded ppm={stranded_ppm} /></dd></div>
        <div><dt>did not fit</dt><dd>{refused.toLocaleString()} <small>refused</small>{observed ? <> {observed.toLocaleString()} <small>observed</small></> : null}</dd></div>
        <div><dt>window ends</dt><dd>{closes_ms === null ? account.budget.span === "rolling" ? <>rolls on <small>the last {leftWords(account.budget.rolling_s * 1_000)} count</small></> : "never" : <>in {leftWords(closes_ms - now)} <small>{timeIn(account.budget.zone || zone)(closes_ms)}{account.budget.zone ? ` ${account.budget.zone}` : ""}</small></>}</dd></div>
      </dl>
      <BudgetBar account={account} wide /><BarKey />
      {!rows.exact && <p class="hint">The rows behind “spent” are more than it counts: rows are not looked up by person, run or hour of a window.</p>}
    </section>
  );
}

function Whose({ budget, time }: { budget: BudgetFacts; time: (ms: number) => string }) {
  return (
    <dl class="facts">
      <div><dt>paid by</dt><dd>{payerWords(budget.payer)}</dd></div>
      <div><dt>decides</dt><dd>{budget.decider ? whoWords(budget.decider) : <Unknown why="nobody is named: --decider user:ann">nobody is named</Unknown>}</dd></div>
      <div><dt>agreed to</dt><dd>{budget.approved ? `by ${whoWords(budget.approved_by)}` : <Unknown why="an approval is of the cap as it stands, and goes when that rises">not agreed</Unknown>}</dd></div>
      <div><dt>told at</dt><dd>{budget.alerts.length ? budget.alerts.map((percent) => `${percent} %`).join(", ") : "never"}</dd></div>
      <div><dt>set by</dt><dd>{whoWords(budget.set_by)}{budget.set_ms ? `, ${time(budget.set_ms)}` : ""}</dd></div>
      <div><dt>id</dt><dd><code>{budget.id}</code></dd></div>
    </dl>
  );
}

function Holding({ holds, now }: { holds: readonly Reservation[]; now: number }) {
  const columns: Column<Reservation>[] = [
    { name: "attempt", label: "attempt", kind: "wide", value: ({ attempt }) => attempt, cell: ({ attempt, subject }) => <><code>{attempt}</code> <small>{subject}</small></> },
    { name: "held_usd", label: "held", kind: "number", value: ({ nano }) => exactUsd(nano), order: ({ nano }) => nano, cell: ({ nano }) => <Money nano={nano} basis="reserved" /> },
    { name: "output_tokens", label: "for tokens out", kind: "number", value: ({ output_tokens }) => output_tokens, cell: ({ output_tokens }) => output_tokens.toLocaleString() },
    { name: "since", label: "for", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: ({ at_ms }) => leftWords(Math.max(0, now - at_ms)) },
  ];
  return <DataTable label="Held by calls under way" columns={columns} rows={holds} file="reservations" keyOf={({ attempt, subject }) => `${attempt} ${subject}`} empty="No call is under way." />;
}

function Changes({ changes, time }: { changes: readonly BudgetChange[]; time: (ms: number) => string }) {
  const capWords = ({ before, after }: BudgetChange) => (before && after && before.cap_nano !== after.cap_nano ? `${usd(before.cap_nano)} → ${usd(after.cap_nano)}` : after && !before ? usd(after.cap_nano) : "");
  const more = ({ before, after }: BudgetChange) => (before && after ? (["mode", "strength", "span", "payer", "decider", "each"] as const).filter((name) => before[name] !== after[name]).map((name) => `${name}: ${before[name] || "none"} → ${after[name] || "none"}`).join("; ") : "");
  const columns: Column<BudgetChange>[] = [
    { name: "at", label: "when", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: ({ at_ms }) => time(at_ms) },
    { name: "what", label: "what", value: ({ what }) => what }, { name: "by", label: "by", value: ({ by }) => by, cell: ({ by }) => whoWords(by) },
    { name: "cap", label: "cap", value: capWords }, { name: "more", label: "also", kind: "wide", value: more, cell: (change) => more(change) || "–" },
  ];
  return <DataTable label="What was changed" columns={columns} rows={changes} file="budget-changes" keyOf={({ id }) => id} empty="Nothing." />;
}
