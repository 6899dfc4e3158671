// Owns peel experiments: where each stands on its way, what was seen of the cheaper model, and stopping it.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import type { Experiment } from "./control-api.js";
import { routeOf } from "./api.js";
import { Needs } from "./answer.js";
import { whoWords } from "./budget-words.js";
import { Unknown } from "./figures.js";
import { Consequence, moneyAddress } from "./frame.js";
import { useLive } from "./live.js";
import { dayAfter } from "./period.js";

export const useExperiments = () => useLive<{ experiments: Experiment[] }>(routeOf("routing/experiments"));

const WAY = ["shadow", "share", "kept"] as const;
const STATES: Record<Experiment["state"], string> = { shadow: "asked unseen", share: "answers a share of sessions", kept: "kept", returned: "returned", stopped: "stopped" };
const percent = (part: number) => `${Math.round(100 * part)} %`;

export function ExperimentList({ experiments, time, today, changed }: { experiments: readonly Experiment[]; time: (ms: number) => string; today: string; changed: () => void }) {
  return (
    <section class="data experiments" aria-label="Experiments">
      <header><h2>Experiments</h2><small>{experiments.length}</small></header>
      {experiments.length ? experiments.map((experiment) => <OneExperiment key={experiment.id} experiment={experiment} time={time} today={today} changed={changed} />) : <p class="nothing">No cheaper model is tried.</p>}
    </section>
  );
}

function OneExperiment({ experiment, time, today, changed }: { experiment: Experiment; time: (ms: number) => string; today: string; changed: () => void }) {
  const operator = useConsole();
  const [stopping, setStopping] = useState(false);
  const { name, plan, state, why, by, since_ms, answered, failed, same, compared, outcomes, accepted, steps } = experiment;
  const running = state === "shadow" || state === "share";
  const shadows = answered + failed;
  const shadowRows = moneyAddress("rows", [["period", `${dayAfter(today, -89)}/${today}`], ["where", `task:experiment:${name}`]]);
  const stop = async (words: string) => {
    const found = await operator.request<{ experiment: Experiment }>(routeOf(`routing/experiments/${encodeURIComponent(name)}/stop`), "POST", { why: words });
    changed();
    return <>{name} is {found.experiment.state}: {plan.incumbent} answers again.</>;
  };
  return (
    <article class="proposal experiment" data-state={state}>
      <header><h2>{name}: {plan.incumbent} → {plan.cheap}</h2>
        <ol class="way" aria-label={`It is ${STATES[state]}`}>{WAY.filter((step) => running || state === "kept" || steps.some(({ after }) => after === step)).map((step) => <li key={step} data-now={step === state || undefined} data-past={steps.some(({ after }) => after === step) && step !== state ? true : undefined}>{STATES[step]}</li>)}{!running && state !== "kept" && <li data-now data-end>{STATES[state]}</li>}</ol>
        <p class="hint">{why.charAt(0).toUpperCase() + why.slice(1)}. On route <a href={moneyAddress("routing", [["route", plan.route]])}>{plan.route}</a>, begun by {whoWords(by)}, {time(since_ms)}.</p></header>
      <dl class="figures">
        <div><dt>shadows that came whole</dt><dd>{shadows ? <a href={shadowRows}>{answered.toLocaleString()} of {shadows.toLocaleString()}</a> : <Unknown why="none was asked yet">none yet</Unknown>} <small>judged after {plan.shadows}</small></dd></div>
        <div><dt>said the same</dt><dd>{compared ? `${same.toLocaleString()} of ${compared.toLocaleString()}` : <Unknown why="none could be compared yet">unknown</Unknown>}</dd></div>
        <div><dt>accepted</dt><dd>{outcomes ? <a href={moneyAddress("outcomes")}>{accepted.toLocaleString()} of {outcomes.toLocaleString()}</a> : <Unknown why="nobody was given its answers yet, or nobody has judged them">no outcome yet</Unknown>} <small>floor {percent(plan.floor)}</small></dd></div>
        <div><dt>returns below</dt><dd>{percent(plan.floor - plan.margin)} <small>wrong in {percent(plan.error)} at most</small></dd></div>
      </dl>
      {steps.length > 1 && <details><summary>Its steps</summary><ul class="reasons">{steps.map((step) => <li key={step.id}>{time(step.at_ms)} {step.before ? `${step.before} → ` : ""}<b>{step.after}</b>: {step.why} <small>{step.by}</small></li>)}</ul></details>}
      {stopping ? <Consequence says={<>{state === "kept" ? `${plan.cheap} is taken back: ` : ""}{plan.incumbent} answers every call of route {plan.route} again, from the next one on; {plan.cheap} is not taken for it any more until another experiment says otherwise. {outcomes ? `${outcomes.toLocaleString()} outcomes stay on record.` : ""}</>} action={state === "kept" ? "take it back" : "stop"} danger reason="Why" perform={stop} cancel={() => setStopping(false)} />
        : (running || state === "kept") && (operator.may("catalogue") ? <p class="row"><Button icon="stop" label={state === "kept" ? "take it back" : "stop"} kind="danger" onClick={() => setStopping(true)} /> <a class="button" href={moneyAddress("routing", [["experiment", name]])}>its decisions</a></p> : <Needs right="catalogue" roles="finops, operator" to="stop it" />)}
    </article>
  );
}
