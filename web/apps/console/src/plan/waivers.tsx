// Owns the page on waivers: those that are over come first, every one with its age, who gave it, and why.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { Answered, Needs, useAnswer } from "../governance/answer.js";
import { routeOf } from "../governance/api.js";
import { Consequence } from "../governance/frame.js";
import { type Column, DataTable } from "../governance/table.js";
import type { MondayFacts, PlanWaiver } from "./api.js";
import { PlanFrame } from "./frame.js";
import { VerdictBadge } from "./verdict.js";
import { PastWaivers } from "./waiver-lists.js";
import { dayWords, gateAddress, ofWords, several, timeWords, whoWords } from "./words.js";

interface GivenWaiver extends PlanWaiver { holds: boolean; age_days: number }

export function WaiversPage() {
  const all = useAnswer<{ waivers: GivenWaiver[]; now_ms: number }>(routeOf("plan/waivers"));
  const monday = useAnswer<MondayFacts>(routeOf("plan/monday"));
  return (
    <PlanFrame page="waivers" title="Waivers" question="What is passed over, by whom, for how long still, and what is over and was not mended?" command="holdfast plan waivers">
      <Answered answer={monday}>{({ past, zone }) => (
        <>
          <PastWaivers lines={past} zone={zone} />
          <Answered answer={all}>{({ waivers }) => <WaiverTable waivers={waivers} zone={zone} changed={() => { all.refresh(); monday.refresh(); }} />}</Answered>
        </>
      )}</Answered>
    </PlanFrame>
  );
}

function WaiverTable({ waivers, zone, changed }: { waivers: readonly GivenWaiver[]; zone: string; changed: () => void }) {
  const operator = useConsole();
  const [ending, setEnding] = useState("");
  const columns: Column<GivenWaiver>[] = [
    { name: "gate", label: "gate", kind: "wide", value: ({ gate }) => gate, cell: ({ gate, workflow }) => <><a href={gateAddress(gate, workflow)}>{gate}</a> of {ofWords(workflow)}</> }, { name: "workflow", label: "of", value: ({ workflow }) => ofWords(workflow), hidden: true },
    { name: "state", label: "is", value: ({ holds, ended_ms }) => (holds ? "holds" : ended_ms === null ? "over" : "taken back"), cell: ({ holds, ended_ms }) => (holds ? <VerdictBadge shown="waived" word="holds" /> : ended_ms === null ? "over" : "taken back") },
    { name: "age_days", label: "age", kind: "number", value: ({ age_days }) => age_days, cell: ({ age_days, at_ms }) => <span title={timeWords(zone, at_ms)}>{several(age_days, "day")}</span> },
    { name: "until", label: "until", value: ({ until_ms }) => new Date(until_ms).toISOString(), order: ({ until_ms }) => until_ms, cell: ({ until_ms, ended_ms, ended_by }) => (ended_ms === null ? dayWords(zone, until_ms) : <>taken back {dayWords(zone, ended_ms)} <small>by {whoWords(ended_by)}</small></>) },
    { name: "by", label: "by", value: ({ by }) => by, cell: ({ by, office, renews }) => <>{whoWords(by)} <small>{office === "risk" ? "risk officer" : "sponsor"}{renews ? ", a renewal" : ""}</small></> },
    { name: "reason", label: "why", kind: "wide", value: ({ reason }) => reason }, { name: "id", label: "receipt", value: ({ id }) => id, cell: ({ id }) => <code>{id}</code> },
    { name: "end", label: "", value: () => null, cell: ({ holds, id }) => (holds && operator.may("waive") ? <Button icon="close" label="take back …" onClick={() => setEnding(id)} /> : null) },
  ];
  const below = ({ id, gate, workflow }: GivenWaiver) => (ending === id ? <Consequence says={<>Gate {gate} of {ofWords(workflow)} counts again at once, as it was computed: a door that it held open shuts, and where it is enforced nothing new begins.</>} action="take it back" danger cancel={() => setEnding("")} perform={async () => {
    await operator.request(routeOf(`plan/waivers/${encodeURIComponent(id)}/end`), "POST");
    changed();
    return <>Waiver <code>{id}</code> holds no more.</>;
  }} /> : null);
  return (
    <>
      <DataTable label="Waivers, the newest first" columns={columns} rows={waivers} file="waivers" keyOf={({ id }) => id} below={below} empty="Nothing was ever waived." />
      {waivers.some(({ holds }) => holds) && !operator.may("waive") && <Needs right="waive" roles="risk officer" to="take a waiver back" />}
    </>
  );
}
