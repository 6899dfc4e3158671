// Owns the page on incidents and stops: what is stopped now, then what went wrong, what it touched, and how long stopping took.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { Answered, Needs, useAnswer } from "../governance/answer.js";
import { type OrganisationDay, routeOf } from "../governance/api.js";
import { exactUsd, nanoOf, UsdText } from "../governance/figures.js";
import { Consequence, moneyAddress } from "../governance/frame.js";
import { Live } from "../governance/live.js";
import { dateIn } from "../governance/period.js";
import { type Column, DataTable } from "../governance/table.js";
import { Calm, PlanFrame, PlanPart } from "./frame.js";
import type { Incident } from "./operations-api.js";
import { scopeWords, StopLine, useStops } from "./stop.js";
import { ended, planAddress, spanWords, timeWords, whoWords, workflowAddress } from "./words.js";

const MAY = "see what is stopped, and what went wrong";

export function IncidentsPage() {
  const operator = useConsole();
  const organisation = useAnswer<OrganisationDay>(routeOf("organisation"));
  const zone = organisation.data?.time_zone ?? "";
  return (
    <PlanFrame page="incidents" title="Incidents and stops" question="What is stopped now, what went wrong, and what did it touch?" command="holdfast stop list">
      {operator.may("control") ? <Answered answer={organisation}>{() => <><Stops zone={zone} /><Incidents zone={zone} /></>}</Answered> : <Needs right="control" roles="operator" to={MAY} />}
    </PlanFrame>
  );
}

function Stops({ zone }: { zone: string }) {
  const stops = useStops(true);
  return (
    <Live answer={stops}>{({ stops: all }) => {
      const holding = all.filter(({ state }) => state !== "lifted");
      const lifted = all.filter(({ state }) => state === "lifted");
      return (
        <>
          <PlanPart title="Stopped now" count={holding.length || undefined}>{holding.length ? holding.map((stop) => <StopLine key={stop.id} stop={stop} zone={zone} changed={stops.refresh} />) : <Calm>Nothing is stopped.</Calm>}</PlanPart>
          {lifted.length > 0 && <PlanPart title="Stopped before" count={lifted.length}>{lifted.slice(0, 20).map((stop) => <StopLine key={stop.id} stop={stop} zone={zone} changed={stops.refresh} />)}</PlanPart>}
        </>
      );
    }}</Live>
  );
}

function Incidents({ zone }: { zone: string }) {
  const operator = useConsole();
  const answer = useAnswer<{ incidents: Incident[] }>(routeOf("operations/incidents"));
  const [closing, setClosing] = useState("");
  const rows = ({ workflow, from_ms, to_ms }: Incident) => moneyAddress("rows", [["period", `${dateIn(zone, from_ms)}/${dateIn(zone, to_ms ?? Date.now())}`], ["where", `workflow:${workflow}`]]);
  const columns: Column<Incident>[] = [
    { name: "workflow", label: "workflow", kind: "wide", value: ({ workflow }) => workflow, cell: ({ workflow, notes }) => <>{workflow ? <a href={workflowAddress(workflow)}>{workflow}</a> : "everything"} {notes && <small class="under">{ended(notes)}</small>}</> }, { name: "notes", label: "what", value: ({ notes }) => notes, hidden: true },
    { name: "from", label: "from", value: ({ from_ms }) => new Date(from_ms).toISOString(), order: ({ from_ms }) => from_ms, cell: ({ from_ms, by }) => <>{timeWords(zone, from_ms)} <small>{whoWords(by)}</small></> },
    { name: "to", label: "to", value: ({ to_ms }) => (to_ms === null ? null : new Date(to_ms).toISOString()), order: ({ to_ms }) => to_ms ?? Infinity, cell: ({ to_ms, from_ms }) => (to_ms === null ? <b class="stops">goes on</b> : <span title={timeWords(zone, to_ms)}>after {spanWords(to_ms - from_ms)}</span>) },
    { name: "stopped_s", label: "time to stop", kind: "number", value: ({ stopped_ms }) => (stopped_ms === null ? null : stopped_ms / 1_000), order: ({ stopped_ms }) => stopped_ms ?? -1, cell: ({ stopped_ms, stop }) => (stopped_ms === null ? (stop ? <span class="unknown">not ended yet</span> : "nothing was stopped") : `${(stopped_ms / 1_000).toFixed(1)} s`) },
    { name: "sessions", label: "sessions", kind: "number", value: ({ sessions }) => sessions, cell: ({ sessions }) => sessions.toLocaleString("en") },
    { name: "people", label: "people", kind: "number", value: ({ people }) => people, cell: ({ people }) => people.toLocaleString("en") },
    { name: "outputs", label: "runs touched", kind: "number", value: ({ outputs }) => outputs, cell: ({ outputs }) => outputs.toLocaleString("en") },
    { name: "cost_usd", label: "cost touched", kind: "number", value: ({ cost_usd }) => { const nano = nanoOf(cost_usd); return nano === null ? null : exactUsd(nano); }, order: ({ cost_usd }) => nanoOf(cost_usd) ?? -1, cell: (one) => <UsdText usd={one.cost_usd} why="some of it has no price" href={rows(one)} /> },
    { name: "id", label: "record", value: ({ id }) => id, cell: ({ id }) => <code>{id}</code> },
    { name: "end", label: "", value: () => null, cell: ({ to_ms, id }) => (to_ms === null ? <Button icon="completed" label="it is over …" onClick={() => setClosing(id)} /> : null) },
  ];
  const below = ({ id, workflow }: Incident) => (closing === id ? <Consequence says={<>The record of {workflow || "everything"} ends now; what it touched is counted up to here. A stop goes on until it is lifted.</>} action="it is over" reason="what it was, and what was done" cancel={() => setClosing("")} perform={async (notes) => {
    const { incident } = await operator.request<{ incident: Incident }>(routeOf(`operations/incidents/${encodeURIComponent(id)}/close`), "POST", { notes });
    answer.refresh();
    return <>Incident <code>{incident.id}</code> is over: {incident.sessions} sessions, {incident.people} people, {incident.outputs} runs touched.</>;
  }} /> : null);
  return <Answered answer={answer}>{({ incidents }) => <DataTable label="Incidents" columns={columns} rows={incidents} file="incidents" keyOf={({ id }) => id} below={below} empty="No incident is on record. Every stop makes one; by hand: holdfast incidents add" />}</Answered>;
}

/** For Monday: what is stopped, and what went wrong within a week. */
export function IncidentLines({ zone, since }: { zone: string; since: number }) {
  const operator = useConsole();
  const may = operator.may("control");
  const stops = useStops();
  const incidents = useAnswer<{ incidents: Incident[] }>(may ? routeOf("operations/incidents") : "");
  if (!may) return <PlanPart title="Incidents and stops"><Needs right="control" roles="operator" to={MAY} /></PlanPart>;
  const holding = (stops.data?.stops ?? []).filter(({ state }) => state !== "lifted");
  return (
    <PlanPart title="Incidents and stops">
      <Answered answer={incidents} rows={1}>{({ incidents: all }) => {
        const recent = all.filter(({ to_ms }) => to_ms === null || to_ms >= since);
        if (!holding.length && !recent.length) return <Calm>Nothing is stopped, and nothing went wrong since last week. <a href={planAddress("incidents")}>All incidents</a></Calm>;
        return (
          <ul class="flips">
            {holding.map((stop) => <li key={stop.id} data-row tabIndex={-1}><b class="stops">{scopeWords(stop)} is stopped</b><span>by {whoWords(stop.by)}, {timeWords(zone, stop.at_ms)}: {ended(stop.reason)} <a href={planAddress("incidents")}>The stop</a></span></li>)}
            {recent.map((one) => <li key={one.id} data-row tabIndex={-1}><b>{one.to_ms === null ? "incident, goes on" : "incident, over"}</b><span><a href={workflowAddress(one.workflow)}>{one.workflow}</a>: {ended(one.notes || "no notes")} {one.sessions} sessions, {one.people} people, {one.outputs} runs, <UsdText usd={one.cost_usd} why="some of it has no price" />. <a href={planAddress("incidents")}>The record</a></span></li>)}
          </ul>
        );
      }}</Answered>
    </PlanPart>
  );
}
