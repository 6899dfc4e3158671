// Owns stopping a workflow: how many runs, sessions and people it ends is said first, a reason is asked for, the receipt is shown.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { Answered, Needs, useAnswer } from "../governance/answer.js";
import { routeOf } from "../governance/api.js";
import { Consequence } from "../governance/frame.js";
import { useLive } from "../governance/live.js";
import { WorkflowRadius } from "../radius.js";
import type { StopOrder, StopPreview, StopReceipt } from "./operations-api.js";
import { ended, planAddress, several, timeWords, whoWords } from "./words.js";

const stopRoute = (path: string, query: readonly (readonly [string, string])[] = []): string => routeOf(`operations/${path}`, query);

/** The stops that hold, refreshed; asked only of those who may see them. */
export function useStops(all = false) {
  return useLive<{ stops: StopOrder[] }>(useConsole().may("control") ? stopRoute("stops", all ? [["all", "yes"]] : []) : "");
}

export const scopeWords = ({ scope, subject }: Pick<StopOrder, "scope" | "subject">): string => (scope === "everything" ? "everything" : `${scope} ${subject}`);

/** What holds of a workflow above all else: that it is stopped, and by whom. */
export function StopBanner({ stops, workflow, zone, changed }: { stops: readonly StopOrder[]; workflow: string; zone: string; changed: () => void }) {
  const own = stops.filter(({ state, scope, subject }) => state !== "lifted" && (scope === "everything" || (scope === "workflow" && subject === workflow)));
  return <>{own.map((stop) => <StopLine key={stop.id} stop={stop} zone={zone} changed={changed} />)}</>;
}

/** One stop with what it did, and letting begin again. */
export function StopLine({ stop, zone, changed }: { stop: StopOrder; zone: string; changed: () => void }) {
  const operator = useConsole();
  const [lifting, setLifting] = useState(false);
  const receipt = useLive<StopReceipt>(stopRoute(`stops/${encodeURIComponent(stop.id)}`), stop.state !== "stopping");
  return (
    <section class="stopped" data-state={stop.state} data-stop={stop.id} aria-label={`Stop of ${scopeWords(stop)}`}>
      <p><b>{scopeWords(stop)} {stop.state === "lifted" ? "was stopped" : stop.state === "stopping" ? "is being stopped" : "is stopped"}</b> by {whoWords(stop.by)}, {timeWords(zone, stop.at_ms)}: {ended(stop.reason)}</p>
      <p class="hint">{receipt.data ? receiptWords(receipt.data) : "…"} {stop.refused ? `${several(stop.refused, "beginning")} refused since. ` : ""}{stop.state === "lifted" ? `Lifted by ${whoWords(stop.lifted_by)}, ${timeWords(zone, stop.lifted_ms ?? 0)}: ${ended(stop.lifted_reason)}` : ""} <code>{stop.id}</code></p>
      {stop.state !== "lifted" && !lifting && (operator.may("audit") ? <div class="row"><Button icon="running" label="let it begin again …" class="lift" onClick={() => setLifting(true)} /></div> : <Needs right="audit" roles="auditor" to="let it begin again" />)}
      {lifting && <Consequence says={<>New runs of {scopeWords(stop)} begin again at once, wherever nothing else refuses them. What was ended stays ended.{stop.scope === "workflow" && operator.may("spend") && <WorkflowRadius workflow={stop.subject} />}</>} action="let it begin again" reason="why" cancel={() => setLifting(false)} perform={async (reason) => {
        const { stop: lifted } = await operator.request<StopReceipt>(stopRoute(`stops/${encodeURIComponent(stop.id)}/lift`), "POST", { reason });
        changed();
        return <>{scopeWords(lifted)} may begin again, by {whoWords(lifted.lifted_by)}: {ended(lifted.lifted_reason)} Receipt <code>{lifted.id}</code></>;
      }} />}
    </section>
  );
}

function receiptWords({ running, queued, waiting, forced, left, sessions, people, took_ms, stop }: StopReceipt): string {
  const found = `It found ${running} running, ${queued} queued and ${waiting} waiting ${running + queued + waiting === 1 ? "run" : "runs"} in ${several(sessions, "session")} of ${several(people, "person", "people")}${stop.calls ? `, and ${several(stop.calls, "call")} of the gateway` : ""}.`;
  const end = left ? `${several(left, "run")} still ${left === 1 ? "ends" : "end"}.` : took_ms === null ? "" : `All ended after ${(took_ms / 1_000).toFixed(1)} s${forced ? `, ${forced} by force` : ""}.`;
  return `${found} ${end}`;
}

export const StopButton = ({ ask }: { ask: () => void }) => (useConsole().may("control") ? <Button icon="stop" label="stop this workflow …" kind="danger" class="stop" onClick={ask} /> : <small>Whoever has the right <code>control</code> may stop it.</small>);

export function StopForm({ workflow, changed, cancel }: { workflow: string; changed: () => void; cancel: () => void }) {
  const operator = useConsole();
  const preview = useAnswer<StopPreview>(stopRoute("preview", [["scope", "workflow"], ["subject", workflow]]));
  return (
    <Answered answer={preview} rows={2}>{({ known, running, queued, waiting, sessions, people, calls }) => (
      <Consequence danger action="stop it now" reason="why, for everybody whose work it ends" cancel={cancel} says={<>
        {known ? <><b>{several(running + queued + waiting, "run")}</b> of {workflow} {running + queued + waiting === 1 ? "ends" : "end"} now ({running} running, {queued} queued, {waiting} waiting) in <b>{several(sessions, "session")}</b> of <b>{several(people, "person", "people")}</b>{calls ? <>, and {several(calls, "call")} of the gateway</> : null}.</> : <><span class="unknown">unknown</span> how many runs there are: the sessions cannot be looked at from here. All of them end.</>} Nothing new of it begins on any surface until somebody with the right <code>audit</code> lets it. Each session says who stopped it, and why.
      </>} perform={async (reason) => {
        const found = await operator.request<StopReceipt>(stopRoute("stops"), "POST", { scope: "workflow", subject: workflow, reason });
        changed();
        return <>{workflow} is stopped by {whoWords(found.stop.by)}: {ended(found.stop.reason)} {receiptWords(found)} Receipt <code>{found.stop.id}</code> <a href={planAddress("incidents")}>Incidents and stops</a></>;
      }} />
    )}</Answered>
  );
}
