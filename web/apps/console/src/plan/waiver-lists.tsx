// Owns how waivers are listed: those that are over while their gate still does not pass come before everything else.

import type { ComponentChildren } from "preact";

import type { WaiverLine } from "./api.js";
import { Calm, PlanPart } from "./frame.js";
import { VerdictBadge } from "./verdict.js";
import { dayWords, ended, gateAddress, ofWords, planAddress, spanWords, whoWords } from "./words.js";

const Line = ({ line: { waiver }, children }: { line: WaiverLine; children: ComponentChildren }) => (
  <li data-row tabIndex={-1} data-waiver={waiver.id}>{children}<span><a href={gateAddress(waiver.gate, waiver.workflow)}>Gate {waiver.gate}</a> of {ofWords(waiver.workflow)}, by {whoWords(waiver.by)} as {waiver.office === "risk" ? "risk officer" : "sponsor"}: {ended(waiver.reason)}</span></li>
);

/** Nothing holds their gates open any more, and nothing mended them. */
export function PastWaivers({ lines, zone }: { lines: readonly WaiverLine[]; zone: string }) {
  return (
    <PlanPart title="Waivers past expiry" count={lines.length || undefined}>
      {lines.length ? <ul class="flips">{lines.map((line) => <Line key={line.waiver.id} line={line}><span class="due" data-late="yes">over for {spanWords(-line.left_ms)}, since {dayWords(zone, line.waiver.until_ms)}</span></Line>)}</ul> : <Calm>None: every gate that was waived passes, or its waiver still holds. <a href={planAddress("waivers")}>All waivers</a></Calm>}
    </PlanPart>
  );
}

export function HoldingWaivers({ lines, zone }: { lines: readonly WaiverLine[]; zone: string }) {
  if (!lines.length) return null;
  return (
    <PlanPart title="Waived now" count={lines.length}>
      <ul class="flips">{lines.map((line) => <Line key={line.waiver.id} line={line}><span class="flip"><VerdictBadge shown="waived" /><span class="due">until {dayWords(zone, line.waiver.until_ms)}, {spanWords(line.left_ms)} left</span></span></Line>)}</ul>
    </PlanPart>
  );
}
