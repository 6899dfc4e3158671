// Owns a run as people see it: who works, in what state, what became of each attempt, and its sub-agents below it.

import { Button, clock, Glyph, hueOf, StateBadge, StopReason } from "holdfast-look";
import { ended, type Op, type RunState, siblingRuns, type View } from "holdfast-ai";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import type { RunNode, RunPart } from "./arrange.js";
import { budgetOf, isToldByPanel } from "./budget.js";
import { useChat } from "./context.js";
import { ItemView } from "./items.js";
import { stopsSent } from "./open-runs.js";

const TAIL_PX = 40;
const LOSS_REASONS: Record<string, string> = { "lease expired": "its worker fell silent", "worker left": "its worker went away" };

/** What drawing an answer needs beside it. */
export interface RenderContext {
  view: View;
  /** Operations that have no answer yet. */
  sending: readonly Op[];
}

/** The answer to an input. */
export function RootRun({ node, ...context }: { node: RunNode } & RenderContext) {
  const chat = useChat();
  const { run } = node;
  const stopSent = stopsSent(context.sending).has(run.id);
  return (
    <section class="run root" data-run={run.id} data-status={run.status} tabIndex={-1} aria-label={`${run.agent}, run ${run.id}`} style={hue(run)}>
      <header>
        <RunHeader run={run} stopSent={stopSent} /><span class="facts">{runFacts(run, stopSent)}</span><span class="progress">{node.progress}</span>
        <span class="siblings"><Versions all={siblingRuns(context.view.runs, run.input ?? "")} current={run} choose={(other) => chat.select({ run: other.id })} /></span>
      </header>
      <div class="body"><RunParts node={node} {...context} /></div>
      <WhyEnded node={node} />
      {ended(run) && (
        <footer class="actions">
          <Button icon="again" label="answer again" kind="quiet" onClick={() => chat.regenerate(run)} />
          <Copy view={context.view} run={run} />
        </footer>
      )}
    </section>
  );
}

/** A sub-agent: a card that scrolls by itself, and folds to one line. */
function SubRun({ node, ...context }: { node: RunNode } & RenderContext) {
  const [foldChoice, setFoldChoice] = useState<boolean | null>(null);
  const folded = foldChoice ?? node.superseded;
  const body = useRef<HTMLDivElement>(null);
  const atTail = useRef(true);
  useLayoutEffect(() => {
    if (atTail.current && body.current) body.current.scrollTop = body.current.scrollHeight;
  });
  const { run } = node;
  const names = ["run sub", folded && "folded", node.superseded && "superseded"].filter(Boolean).join(" ");
  return (
    <section class={names} data-run={run.id} data-status={run.status} aria-label={`${run.agent}, run ${run.id}`} style={hue(run)}>
      <header>
        <RunHeader run={run} /><span class="facts">{runFacts(run)}</span><span class="progress">{node.progress}</span>
        <Button icon="fold" label="fold" kind="quiet" class="fold" aria-expanded={!folded} title="Fold to one line" onClick={() => setFoldChoice(!folded)} />
      </header>
      <div class="body scroll" tabIndex={0} ref={body} onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
        atTail.current = scrollHeight - scrollTop - clientHeight < TAIL_PX;
      }}><RunParts node={node} {...context} /></div>
      <WhyEnded node={node} above={context.view.runs.get(run.parent ?? "")} />
    </section>
  );
}

/** Why somebody stopped it, or it failed; not once more where a budget's panel says it. */
function WhyEnded({ node: { run, parts }, above }: { node: RunNode; above?: RunState | undefined }) {
  const { me } = useChat();
  if (isToldByPanel(run) && parts.some((part) => part.kind === "item" && part.item.kind === "activity" && budgetOf(part.item)?.stage === "ended")) return null;
  return <><StopReason run={run} above={above} me={me} />{run.error && <p class="failure">{run.error.message || run.error.code}</p>}</>;
}

function RunHeader({ run, stopSent = false }: { run: RunState; stopSent?: boolean }) {
  const stopping = (stopSent || run.cancel !== undefined) && !ended(run);
  return <><span class="agent">{run.agent.split("/").at(-1)}</span><StateBadge status={stopping ? "stopping" : run.status} /></>;
}

function RunParts({ node, ...context }: { node: RunNode } & RenderContext) {
  return <>{node.parts.map((part, at) => <RunPartView key={keyOf(part, at)} part={part} {...context} />)}</>;
}

const keyOf = (part: RunPart, at: number): string =>
  part.kind === "item" ? `${part.item.kind}:${part.item.id}` : part.kind === "subs" ? `subs:${part.runs[0]!.run.id}` : `loss:${at}`;

function RunPartView({ part, ...context }: { part: RunPart } & RenderContext) {
  if (part.kind === "item") {
    const sending = part.item.kind === "approval" && context.sending.some(({ op, approval }) => op === "resolve" && approval === part.item.id);
    const run = part.item.kind === "activity" ? context.view.runs.get(part.item.run ?? "") : undefined;
    return <ItemView item={part.item} changedAt={context.view.changedAt(part.item)} superseded={part.superseded} sending={sending} run={run} version={run?.version} />;
  }
  if (part.kind === "loss") {
    const { attempt, ts, reason } = part.loss;
    return <p class="loss"><Glyph name="lost" />Attempt {attempt} was lost at {clock(ts)}: {LOSS_REASONS[reason] ?? reason}.</p>;
  }
  return <div class="side-by-side">{part.runs.map((answer) => <SubRun key={answer.run.id} node={answer} {...context} />)}</div>;
}

function Copy({ view, run }: { view: View; run: RunState }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    const texts = view.items.flatMap((item) => (item.kind === "message" && item.run === run.id && item.status !== "cut" ? [item.text] : []));
    await navigator.clipboard?.writeText(texts.join("\n\n"));
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return <Button icon="copy" label={copied ? "copied" : "copy"} kind="quiet" onClick={() => void copy()} />;
}

/** The switcher between versions: ‹ 2 / 3 ›. */
export function Versions<T>({ all, current, choose }: { all: readonly T[]; current: T; choose: (other: T) => void }) {
  const at = all.indexOf(current);
  if (all.length < 2) return null;
  return (
    <>
      <Button icon="left" label="version before" kind="icon" disabled={at <= 0} onClick={() => choose(all[at - 1]!)} />
      <span class="count">{at + 1} / {all.length}</span>
      <Button icon="right" label="version after" kind="icon" disabled={at >= all.length - 1} onClick={() => choose(all[at + 1]!)} />
    </>
  );
}

const hue = (run: RunState) => ({ "--hue": String(hueOf(`agent:${run.agent}`)) });

function runFacts(run: RunState, stopSent = false): string {
  const over = ended(run);
  const parts: string[] = [];
  if (run.losses?.length) parts.push(`attempt ${Math.max(run.attempt, run.losses.length)} of ${run.attempts}`);
  if (run.status === "queued") parts.push(run.losses?.length ? "waits for a worker to try again" : "waits for a worker");
  if (stopSent && !run.cancel && !over) parts.push("sending your stop");
  if (run.cancel && !over) parts.push(run.cancel.delivered ? "the agent has heard" : "telling the agent");
  if (overdue(run)) parts.push("ended for it: the agent did not answer");
  if (run.status === "completed" && run.started_ts && run.ended_ts) parts.push(`${((run.ended_ts - run.started_ts) / 1000).toFixed(1)} s`);
  return parts.join(" · ");
}

/** It was given time to stop, and said nothing: a run that waited for people has no agent that could. */
const overdue = ({ status, cancel, started_ts, ended_ts }: RunState): boolean =>
  status === "cancelled" && cancel !== undefined && !cancel.delivered && !cancel.force && started_ts !== undefined && ended_ts! > cancel.ts;
