// Owns requests to raise a budget: those that wait, and deciding them with a reason; the decision is shown.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { type Console, useConsole } from "../console.js";
import { RequestRadius } from "../radius.js";
import { addressOf } from "../route.js";
import { Needs } from "./answer.js";
import { type BudgetFacts, type RaiseRequest } from "./control-api.js";
import { routeOf } from "./api.js";
import { budgetAddress, callAddress, leftWords, payerWords, whoWords } from "./budget-words.js";
import { exactUsd, Money, usd } from "./figures.js";
import { Consequence, moneyAddress } from "./frame.js";
import { type Column, DataTable } from "./table.js";

/** As the server has it: whoever answers for the payer, or somebody else with the right; never whoever asked. */
const mayDecide = (operator: Console, { decider, by }: RaiseRequest): boolean => (decider !== undefined && decider !== "" && decider === operator.actor) || (operator.may("budget") && by !== operator.actor);

interface Decided { request: RaiseRequest; budget: BudgetFacts }
type Choice = "approved" | "denied" | "withdrawn";

export function WaitingRequests({ requests, now, changed }: { requests: readonly RaiseRequest[]; now: number; changed: () => void }) {
  const [touched, setTouched] = useState<readonly RaiseRequest[]>([]); // the receipt of a decision stays until it is closed
  const waiting = requests.filter(({ state }) => state === "waiting");
  const shown = [...touched, ...waiting.filter(({ id }) => !touched.some((other) => other.id === id))].sort((one, other) => (one.until_ms ?? Infinity) - (other.until_ms ?? Infinity) || one.at_ms - other.at_ms);
  if (!shown.length) return null;
  return <section class="waiting-requests" aria-label="Requests that wait">{shown.map((request) => (
    <OneRequest key={request.id} request={request} now={now} changed={changed} touch={() => setTouched((before) => (before.some(({ id }) => id === request.id) ? before : [...before, request]))} done={() => setTouched((before) => before.filter(({ id }) => id !== request.id))} />
  ))}</section>;
}

function OneRequest({ request, now, changed, touch, done }: { request: RaiseRequest; now: number; changed: () => void; touch: () => void; done: () => void }) {
  const operator = useConsole();
  const [choice, setChoice] = useState<Choice | null>(null);
  const { id, name, budget, from_nano, to_nano, by, why, session, call, at_ms, until_ms, decider, payer } = request;
  const choose = (next: Choice) => { touch(); setChoice(next); };
  const decide = async (note: string) => {
    const found = await operator.request<Decided>(routeOf(`budgets/requests/${encodeURIComponent(id)}/decision`), "POST", { decision: choice, note });
    changed();
    return <>{name}: {found.request.state} by {found.request.decided_by}; its cap is {usd(found.budget.cap_nano)}. Request <code>{id}</code>{note ? `: ${note}` : "."}</>;
  };
  const who = decider ? whoWords(decider) : "somebody with the right `budget`".replaceAll("`", "");
  const says: Record<Choice, preact.ComponentChildren> = {
    approved: <>The cap of {name} becomes {usd(to_nano)}, {usd(to_nano - from_nano)} more, at once, and stays so; {payerWords(payer ?? "")} pays{until_ms !== null ? "; the answer that waits goes on" : ""}. {whoWords(by)} sees your sentence. The first decision stands.</>,
    denied: <>The cap of {name} stays {usd(from_nano)}{until_ms !== null ? "; the answer that waits ends" : ""}. {whoWords(by)} sees your sentence. The first decision stands.</>,
    withdrawn: <>You take back what you asked for. Nothing else changes.</>,
  };
  return (
    <article class="proposal" data-request={id}>
      <header><h2><a href={budgetAddress({ id: budget })}>{name}</a>: <Money nano={from_nano} /> → <Money nano={to_nano} /></h2>
        <p class="hint"><b>{whoWords(by)}</b> asks{why ? <>: “{why}”</> : "."} {call ? <a href={callAddress(call, at_ms)}>the call</a> : null} {session && !session.startsWith("erased:") ? <a href={addressOf("session", session)}>the session</a> : null}</p>
        <p class="hint">{until_ms !== null ? until_ms > now ? <><b>An answer waits {leftWords(until_ms - now)} more.</b> </> : <>The answer does not wait any more. </> : null}{payerWords(payer ?? "")} pays; {who} decides.</p>{mayDecide(operator, request) && <p class="hint"><RequestRadius id={id} /></p>}</header>
      {choice !== null ? <Consequence key={choice} says={says[choice]} action={choice === "approved" ? `approve ${usd(to_nano)}` : choice === "denied" ? "deny" : "withdraw"} danger={choice === "denied"} reason={choice === "withdrawn" ? undefined : "Why"} perform={decide} cancel={() => { setChoice(null); done(); }} />
        : mayDecide(operator, request) ? <p class="row"><Button icon="completed" label="approve" kind="primary" onClick={() => choose("approved")} /><Button icon="close" label="deny" kind="danger" onClick={() => choose("denied")} /></p>
        : by === operator.actor ? <p class="row"><Button icon="close" label="withdraw" onClick={() => choose("withdrawn")} /><span class="hint">Nobody decides for themselves.</span></p>
        : <Needs right="budget" roles="finops" to="decide this" />}
    </article>
  );
}

/** What was decided before. */
export function DecidedRequests({ requests, time }: { requests: readonly RaiseRequest[]; time: (ms: number) => string }) {
  const decided = requests.filter(({ state }) => state !== "waiting");
  if (!decided.length) return null;
  const columns: Column<RaiseRequest>[] = [
    { name: "budget", label: "budget", kind: "wide", value: ({ name }) => name, cell: ({ name, budget }) => <a href={budgetAddress({ id: budget })}>{name}</a> },
    { name: "from_usd", label: "from", kind: "number", value: ({ from_nano }) => exactUsd(from_nano), order: ({ from_nano }) => from_nano, cell: ({ from_nano }) => <Money nano={from_nano} /> },
    { name: "to_usd", label: "to", kind: "number", value: ({ to_nano }) => exactUsd(to_nano), order: ({ to_nano }) => to_nano, cell: ({ to_nano }) => <Money nano={to_nano} /> },
    { name: "by", label: "asked by", value: ({ by }) => by, cell: ({ by, why }) => <>{whoWords(by)} <small>{why}</small></> },
    { name: "state", label: "decision", value: ({ state }) => state, cell: ({ state, decided_by, note }) => <><span class="decision" data-state={state === "denied" ? "rejected" : state}>{state}</span> by {whoWords(decided_by)} <small>{note}</small></> },
    { name: "at", label: "when", value: ({ decided_ms }) => new Date(decided_ms).toISOString(), order: ({ decided_ms }) => decided_ms, cell: ({ decided_ms }) => time(decided_ms) },
    { name: "why", label: "why", value: ({ why }) => why, hidden: true }, { name: "note", label: "note", value: ({ note }) => note, hidden: true },
  ];
  return <DataTable label="Requests that were decided" columns={columns} rows={decided} file="budget-requests" keyOf={({ id }) => id} empty="" />;
}

/** Asks whoever pays for more. */
export function AskForMore({ budget, close, changed }: { budget: BudgetFacts; close: () => void; changed: () => void }) {
  const operator = useConsole();
  const [to, setTo] = useState(((budget.cap_nano * 1.25) / 1e9).toFixed(2));
  return (
    <Consequence says={<><label><span>New cap of {budget.name}, USD (it is {usd(budget.cap_nano)})</span><input type="text" inputMode="decimal" name="to_usd" required value={to} onInput={({ currentTarget }) => setTo(currentTarget.value)} /></label><br />{budget.decider ? whoWords(budget.decider) : `Somebody of ${payerWords(budget.payer)}`} is asked; nothing changes before they decide.</>} action="ask for more" reason="Why" cancel={close} perform={async (why) => {
      const { request } = await operator.request<{ request: RaiseRequest }>(routeOf("budgets/requests"), "POST", { budget: budget.id, to_usd: to.trim(), why });
      changed();
      return <>Asked: {usd(request.from_nano)} → {usd(request.to_nano)}. Request <code>{request.id}</code> waits for {request.decider ? whoWords(request.decider) : payerWords(budget.payer)}. <a href={moneyAddress("budgets")}>All that waits</a></>;
    }} />
  );
}
