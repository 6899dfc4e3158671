// Owns a run as people see it: who works, in what state, what became of each attempt, and its sub-agents below it.

import { Button, clock, Glyph, hueOf, StateBadge } from "holdfast-look";
import { ended, type Op, type RunState, siblingRuns, type View } from "holdfast-ai";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import type { Answer, Part } from "./arrange.js";
import { useChat } from "./context.js";
import { ItemView } from "./items.js";
import { stopsSent } from "./open-runs.js";

const TAIL_PX = 40;
const LOSSES: Record<string, string> = { "lease expired": "its worker fell silent", "worker left": "its worker went away" };

/** What drawing an answer needs beside it. */
export interface Drawing {
  view: View;
  /** Operations that have no answer yet. */
  sending: readonly Op[];
}

/** The answer to an input. */
export function RootRun({ answer, ...drawing }: { answer: Answer } & Drawing) {
  const chat = useChat();
  const { run } = answer;
  const sent = stopsSent(drawing.sending).has(run.id);
  return (
    <section class="run root" data-run={run.id} data-status={run.status} tabIndex={-1} aria-label={`${run.agent}, run ${run.id}`} style={hue(run)}>
      <header>
        <Head run={run} sent={sent} /><span class="facts">{facts(run, sent)}</span><span class="progress">{answer.progress}</span>
        <span class="siblings"><Versions all={siblingRuns(drawing.view.runs, run.input ?? "")} current={run} choose={(other) => chat.select({ run: other.id })} /></span>
      </header>
      <div class="body"><Parts answer={answer} {...drawing} /></div>
      {run.error && <p class="failure">{run.error.message || run.error.code}</p>}
      {ended(run) && (
        <footer class="actions">
          <Button icon="again" words="answer again" kind="quiet" onClick={() => chat.regenerate(run)} />
          <Copy view={drawing.view} run={run} />
        </footer>
      )}
    </section>
  );
}

/** A sub-agent: a card that scrolls by itself, and folds to one line. */
function SubRun({ answer, ...drawing }: { answer: Answer } & Drawing) {
  const [choice, setChoice] = useState<boolean | null>(null);
  const folded = choice ?? answer.superseded;
  const body = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  useLayoutEffect(() => {
    if (stuck.current && body.current) body.current.scrollTop = body.current.scrollHeight;
  });
  const { run } = answer;
  const names = ["run sub", folded && "folded", answer.superseded && "superseded"].filter(Boolean).join(" ");
  return (
    <section class={names} data-run={run.id} data-status={run.status} aria-label={`${run.agent}, run ${run.id}`} style={hue(run)}>
      <header>
        <Head run={run} /><span class="facts">{facts(run)}</span><span class="progress">{answer.progress}</span>
        <Button icon="fold" words="fold" kind="quiet" class="fold" aria-expanded={!folded} title="Fold to one line" onClick={() => setChoice(!folded)} />
      </header>
      <div class="body scroll" tabIndex={0} ref={body} onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
        stuck.current = scrollHeight - scrollTop - clientHeight < TAIL_PX;
      }}><Parts answer={answer} {...drawing} /></div>
      {run.error && <p class="failure">{run.error.message || run.error.code}</p>}
    </section>
  );
}

function Head({ run, sent = false }: { run: RunState; sent?: boolean }) {
  const stopping = (sent || run.cancel !== undefined) && !ended(run);
  return <><span class="agent">{run.agent.split("/").at(-1)}</span><StateBadge status={stopping ? "stopping" : run.status} /></>;
}

function Parts({ answer, ...drawing }: { answer: Answer } & Drawing) {
  return <>{answer.parts.map((part, at) => <PartView key={keyOf(part, at)} part={part} {...drawing} />)}</>;
}

const keyOf = (part: Part, at: number): string =>
  part.kind === "item" ? `${part.item.kind}:${part.item.id}` : part.kind === "subs" ? `subs:${part.runs[0]!.run.id}` : `loss:${at}`;

function PartView({ part, ...drawing }: { part: Part } & Drawing) {
  if (part.kind === "item") {
    const sending = part.item.kind === "approval" && drawing.sending.some(({ op, approval }) => op === "resolve" && approval === part.item.id);
    return <ItemView item={part.item} at={drawing.view.changedAt(part.item)} superseded={part.superseded} sending={sending} />;
  }
  if (part.kind === "loss") {
    const { attempt, ts, reason } = part.loss;
    return <p class="loss"><Glyph name="lost" />Attempt {attempt} was lost at {clock(ts)}: {LOSSES[reason] ?? reason}.</p>;
  }
  return <div class="side-by-side">{part.runs.map((answer) => <SubRun key={answer.run.id} answer={answer} {...drawing} />)}</div>;
}

function Copy({ view, run }: { view: View; run: RunState }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    const texts = view.items.flatMap((item) => (item.kind === "message" && item.run === run.id && item.status !== "cut" ? [item.text] : []));
    await navigator.clipboard?.writeText(texts.join("\n\n"));
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return <Button icon="copy" words={copied ? "copied" : "copy"} kind="quiet" onClick={() => void copy()} />;
}

/** The switcher between versions: ‹ 2 / 3 ›. */
export function Versions<T>({ all, current, choose }: { all: readonly T[]; current: T; choose: (other: T) => void }) {
  const at = all.indexOf(current);
  if (all.length < 2) return null;
  return (
    <>
      <Button icon="left" words="version before" kind="icon" disabled={at <= 0} onClick={() => choose(all[at - 1]!)} />
      <span class="count">{at + 1} / {all.length}</span>
      <Button icon="right" words="version after" kind="icon" disabled={at >= all.length - 1} onClick={() => choose(all[at + 1]!)} />
    </>
  );
}

const hue = (run: RunState) => ({ "--hue": String(hueOf(`agent:${run.agent}`)) });

function facts(run: RunState, sent = false): string {
  const over = ended(run);
  const parts: string[] = [];
  if (run.losses?.length) parts.push(`attempt ${Math.max(run.attempt, run.losses.length)} of ${run.attempts}`);
  if (run.status === "queued") parts.push(run.losses?.length ? "waits for a worker to try again" : "waits for a worker");
  if (sent && !run.cancel && !over) parts.push("sending your stop");
  if (run.cancel && !over) parts.push(run.cancel.delivered ? "the agent has heard" : "telling the agent");
  if (overdue(run)) parts.push("ended for it: the agent did not answer");
  if (run.status === "completed" && run.started_ts && run.ended_ts) parts.push(`${((run.ended_ts - run.started_ts) / 1000).toFixed(1)} s`);
  return parts.join(" · ");
}

/** It was given time to stop, and said nothing: a run that waited for people has no agent that could. */
const overdue = ({ status, cancel, started_ts, ended_ts }: RunState): boolean =>
  status === "cancelled" && cancel !== undefined && !cancel.delivered && !cancel.force && started_ts !== undefined && ended_ts! > cancel.ts;
