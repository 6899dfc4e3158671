// Owns the Monday page: who must do what by when, may each workflow go on, what flipped since last week, what it costs, what was waived.

import { Answered, Failure, useAnswer } from "../governance/answer.js";
import { type OrganisationDay, routeOf, type Spend } from "../governance/api.js";
import type { RoutingReport } from "../governance/control-api.js";
import { exactUsd, Money, Unknown } from "../governance/figures.js";
import { moneyAddress } from "../governance/frame.js";
import { dayAfter } from "../governance/period.js";
import { type Column, DataTable } from "../governance/table.js";
import type { GateFlip, MondayFacts, NextAction, Standing } from "./api.js";
import { Calm, PlanFrame, PlanPart } from "./frame.js";
import { IncidentLines } from "./incidents.js";
import { spendByWorkflow, type WorkflowSpend } from "./spend.js";
import { VerdictBadge } from "./verdict.js";
import { HoldingWaivers, PastWaivers } from "./waiver-lists.js";
import { dayWords, dueWords, ended, gateAddress, ofWords, planAddress, several, spanWords, whoWords, workflowAddress } from "./words.js";

const STANDS: Record<Standing, string> = { fail: "held up", unknown: "nobody can tell", pass: "may go on" };
/** What is only observed runs, whatever is red of it. */
const standsWords = ({ stands, mode, state }: MondayFacts["workflows"][number]): string => (stands === "fail" && mode === "observe" && state !== "registered" ? "red, only observed" : STANDS[stands]);
const ACTIONS_SHOWN = 6; // of one person; the rest is one click away

export function MondayPage() {
  const monday = useAnswer<MondayFacts>(routeOf("plan/monday"));
  const zone = monday.data?.zone ?? "";
  return (
    <PlanFrame page="" title="Monday" command="holdfast plan monday" question={<>May each workflow go on, and who must do what by when?{monday.data ? <> <b>{dayWords(zone, monday.data.as_of_ms)}</b>, {zone}.</> : null}</>}>
      <Answered answer={monday} rows={8}>{(found) => <MondayOf found={found} />}</Answered>
    </PlanFrame>
  );
}

function MondayOf({ found }: { found: MondayFacts }) {
  const { zone, as_of_ms: now } = found;
  if (!found.workflows.length) return <Calm>No workflow has a manifest yet. Write the first from what was seen: <code>holdfast workflow init NAME</code>, then <code>holdfast workflow apply FILE</code>. Until then nothing here can say whether it may go on. <a href={planAddress("inventory")}>What was seen without a name</a></Calm>;
  return (
    <>
      <PeopleList found={found} />
      <PlanPart title="May each workflow go on?" count={counts(found)}>
        <ul class="sentences">{found.workflows.map((one) => { const { workflow, stands, sentence } = one; return (
          <li key={workflow} data-row data-stands={stands} tabIndex={-1}><VerdictBadge shown={stands} word={standsWords(one)} /><span><a href={workflowAddress(workflow)}>{workflow}</a> {sentence.startsWith(workflow) ? sentence.slice(workflow.length).trim() : sentence}</span></li>
        ); })}</ul>
      </PlanPart>
      <Flips flips={found.flips} zone={zone} since={found.since_ms} now={now} />
      <IncidentLines zone={zone} since={found.since_ms} />
      <Cautions found={found} />
      <PastWaivers lines={found.past} zone={zone} />
      <TopSpend />
      <HoldingWaivers lines={found.waived} zone={zone} />
    </>
  );
}

/** What goes wrong in organisations before any gate is red; what cannot be told says so. */
function Cautions({ found: { cautions } }: { found: MondayFacts }) {
  const shown = { seen: "fail", clear: "pass", unknown: "unknown" } as const;
  const words = { seen: "look", clear: "clear", unknown: "not known" };
  return (
    <PlanPart title="Warnings" count={several(cautions.filter(({ state }) => state === "seen").length, "to look at", "to look at")}>
      <ul class="flips">{cautions.map(({ name, state, text }) => (
        <li key={name} data-row tabIndex={-1} data-caution={name} data-state={state}><VerdictBadge shown={shown[state]} word={words[state]} /><span>{text}</span></li>
      ))}</ul>
    </PlanPart>
  );
}

function counts({ workflows }: MondayFacts): string {
  const words = workflows.map(standsWords);
  return [...new Set(words)].map((each) => `${words.filter((other) => other === each).length} ${each}`).join(", ");
}

/** What has to be done, by person. What waits for a gate to be built is one line: it is nobody's this week. */
function PeopleList({ found: { people, unbuilt, gates, zone, as_of_ms: now } }: { found: MondayFacts }) {
  const missing = new Set(unbuilt);
  const groups = people.map(({ who, actions }) => ({ who, actions: actions.filter(({ gate }) => !missing.has(gate)) })).filter(({ actions }) => actions.length);
  const all = groups.flatMap(({ actions }) => actions);
  const late = all.filter(({ due_ms }) => due_ms && due_ms < now).length;
  return (
    <PlanPart title="Who has to do what" count={all.length ? `${several(all.length, "thing")} for ${several(groups.length, "person", "people")}${late ? `, ${late} late` : ""}` : undefined}>
      {groups.length ? <div class="people">{groups.map(({ who, actions }) => <PersonsWork key={who} who={who} actions={actions} zone={zone} now={now} />)}</div> : <Calm>Nobody has to do anything: no gate that is built stands in the way.</Calm>}
      {unbuilt.length > 0 && <p class="hint note">{several(unbuilt.length, "gate")} of {gates} {unbuilt.length === 1 ? "is" : "are"} not built yet ({unbuilt.join(", ")}): unknown in every workflow, and counted as that. <a href={planAddress("grid")}>See the grid</a></p>}
    </PlanPart>
  );
}

function PersonsWork({ who, actions, zone, now }: { who: string; actions: readonly NextAction[]; zone: string; now: number }) {
  return (
    <article class="person" data-who={who}>
      <h3>{whoWords(who)} <small>{several(actions.length, "thing")}</small></h3>
      <ul>{actions.slice(0, ACTIONS_SHOWN).map((action) => <Action key={`${action.gate} ${action.what}`} action={action} zone={zone} now={now} />)}</ul>
      {actions.length > ACTIONS_SHOWN && <details><summary>{several(actions.length - ACTIONS_SHOWN, "more thing")}</summary><ul>{actions.slice(ACTIONS_SHOWN).map((action) => <Action key={`${action.gate} ${action.what}`} action={action} zone={zone} now={now} />)}</ul></details>}
    </article>
  );
}

function Action({ action: { gate, what, why, workflows, opens, stopped, effect, due_ms }, zone, now }: { action: NextAction; zone: string; now: number }) {
  const due = dueWords(zone, due_ms, now);
  return (
    <li data-row tabIndex={-1} data-stops={stopped.length ? "yes" : undefined}>
      <b>{ended(what)}</b> <span class="due" data-late={due.late ? "yes" : undefined}>{due.late && <span class="visually-hidden">late: </span>}{due.text}</span>
      <small>Gate <a href={gateAddress(gate, workflows[0] ?? "")}>{gate}</a> of {workflows.slice(0, 3).map((name, at) => <span key={name}>{at ? ", " : ""}<a href={workflowAddress(name, gate)}>{name}</a></span>)}{workflows.length > 3 ? ` and ${workflows.length - 3} more` : ""}: {ended(why)} {stopped.length ? <b class="stops">Nothing new runs until then.</b> : opens.length ? <>Then {ended(effect)}</> : null}</small>
    </li>
  );
}

function Flips({ flips, zone, since, now }: { flips: readonly GateFlip[]; zone: string; since: number; now: number }) {
  return (
    <PlanPart title={`Flipped since ${dayWords(zone, since)}`} count={flips.length || undefined} label="Flipped since last week">
      {flips.length ? <ul class="flips">{flips.map(({ gate, title, workflow, before, after, at_ms, reason }) => (
        <li key={`${workflow} ${gate}`} data-row tabIndex={-1}><span class="flip"><VerdictBadge shown={before} /><span aria-label="then">→</span><VerdictBadge shown={after} /></span><span><a href={gateAddress(gate, workflow)}>{gate} {title}</a> of {ofWords(workflow)}: {ended(reason)} <small>{spanWords(now - at_ms)} ago</small></span></li>
      ))}</ul> : <Calm>No gate says anything else than a week ago.</Calm>}
    </PlanPart>
  );
}

/** What moved before what is large: the change, then the level. */
function TopSpend() {
  const organisation = useAnswer<OrganisationDay>(routeOf("organisation"));
  const today = organisation.data?.day ?? "";
  const span = (first: number, last: number) => (today ? routeOf("ledger/spend", [["since", dayAfter(today, first)], ["until", dayAfter(today, last)], ["by", "workflow"], ["limit", "200"]]) : "");
  const week = useAnswer<Spend>(span(-7, -1));
  const before = useAnswer<Spend>(span(-14, -8));
  const report = useAnswer<RoutingReport>(routeOf("routing/report"));
  const period = today ? `${dayAfter(today, -7)}/${dayAfter(today, -1)}` : "";
  const failed = [organisation, week, before, report].find(({ error }) => error);
  if (!(week.data && before.data && report.data)) return <PlanPart title="What it costs">{failed?.error ? <Failure error={failed.error} retry={failed.refresh} /> : <Answered answer={week}>{() => null}</Answered>}</PlanPart>;
  const columns: Column<WorkflowSpend>[] = [
    { name: "workflow", label: "workflow", kind: "wide", value: ({ workflow }) => workflow || "(none)", cell: ({ workflow }) => (workflow && workflow !== "unassigned" ? <a href={workflowAddress(workflow)}>{workflow}</a> : <a href={planAddress("inventory")}>{workflow || "(none)"}</a>) },
    { name: "change_usd", label: "since the week before", kind: "number", value: ({ billed, before: was }) => exactUsd(billed - was), order: ({ billed, before: was }) => billed - was, cell: ({ billed, before: was }) => <Money nano={billed - was} signed /> },
    { name: "billed_usd", label: "7 days", kind: "number", value: ({ billed }) => exactUsd(billed), order: ({ billed }) => billed, cell: ({ workflow, billed, estimated, unpriced }) => <><Money nano={billed} estimated={estimated} href={moneyAddress("rows", [["period", period], ["where", `workflow:${workflow}`]])} />{unpriced ? <> <Unknown why="they are in no sum of money">{several(unpriced, "row")} without a price</Unknown></> : null}</> },
    { name: "per_accepted_usd", label: "cost per accepted outcome, 90 days", kind: "number", value: ({ each }) => (each === null ? null : exactUsd(each)), order: ({ each }) => each ?? -1, cell: ({ each, n }) => (each === null ? <Unknown why={n ? "nothing was accepted, or a cost is not known" : "nobody has said what became of its work"} /> : <Money nano={each} href={moneyAddress("routing")} />) },
    { name: "accepted", label: "accepted", kind: "number", value: ({ accepted, n }) => (n ? accepted : null), order: ({ accepted, n }) => (n ? accepted / n : -1), cell: ({ accepted, n }) => (n ? `${accepted} of ${n}` : <Unknown why="no outcome" />) },
    { name: "n", label: "n", value: ({ n }) => n, hidden: true }, { name: "before_usd", label: "the week before", value: ({ before: was }) => exactUsd(was), hidden: true },
  ];
  return <DataTable label="What it costs, the most first" columns={columns} rows={spendByWorkflow(week.data, before.data, report.data.models).slice(0, 8)} file={`monday-${today}`} keyOf={({ workflow }) => workflow || "(none)"} empty="Nothing was spent in the last seven days." />;
}
