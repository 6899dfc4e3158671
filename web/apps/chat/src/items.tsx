// Owns how each kind of item looks. An item changes in place, so `changedAt` (the view's count of its last change) says when to
// draw it again.

import { Button, clock, Glyph, Inline, nameOf, Prose } from "holdfast-look";
import type { ActivityItem, Item, MessageItem, ReasoningItem, RunState, Source, SteerItem, StepItem, ToolItem } from "holdfast-ai";
import type { ComponentChildren } from "preact";
import { memo } from "preact/compat";
import { useEffect, useRef, useState } from "preact/hooks";

import { Approval } from "./approval.js";
import { Budget, budgetOf } from "./budget.js";
import { useChat } from "./context.js";

/** A person's message to the agents; can be edited, which branches the conversation (CTL-7). */
export function InputMessage({ item, siblings }: { item: MessageItem; siblings?: ComponentChildren }) {
  const chat = useChat();
  const [editing, setEditing] = useState(false);
  const mine = item.actor === chat.me;
  const names = ["input", mine && "mine", item.role === "operator" && "operator"].filter(Boolean).join(" ");
  return (
    <article class={names} tabIndex={-1} data-id={item.id}>
      <header>
        <span class="actor">{mine ? "you" : nameOf(item.actor)}</span><time>{clock(item.ts)}</time>
        <span class="siblings">{siblings}</span>
        <Button icon="edit" label="edit" kind="quiet" title="Edit and ask again (e)" onClick={() => setEditing(true)} />
      </header>
      {editing
        ? <Edit text={item.text} done={(text) => { setEditing(false); if (text?.trim()) chat.edit(item, text); }} />
        : <div class="text">{item.text}</div>}
    </article>
  );
}

function Edit({ text, done }: { text: string; done: (text?: string) => void }) {
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => area.current!.focus(), []);
  const send = () => done(area.current!.value);
  return (
    <div class="edit">
      <textarea class="editing" rows={3} aria-label="Edit the message" defaultValue={text} ref={area} onKeyDown={(event) => {
        if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); send(); }
        if (event.key === "Escape") { event.preventDefault(); done(); }
        event.stopPropagation();
      }} />
      <div class="row">
        <Button icon="close" label="keep as it was" kind="quiet" onClick={() => done()} />
        <Button icon="send" label="ask again" kind="primary" onClick={send} />
      </div>
    </div>
  );
}

/** A message that has no answer from the server yet. */
export const UnsentMessage = ({ text }: { text: string }) => (
  <article class="input mine sending">
    <header><span class="actor">you</span><span class="status">sending …</span></header>
    <div class="text">{text}</div>
  </article>
);

/** What an agent writes, growing as it does, with the sources it cites. */
function Message({ item, superseded }: { item: MessageItem; superseded: boolean }) {
  return (
    <article class={superseded ? "message superseded" : "message"} data-id={item.id} data-status={item.status}>
      <Prose text={item.text} />
      {item.sources?.length ? <ol class="sources">{item.sources.map((source, at) => <CitedSource key={at} source={source} />)}</ol> : null}
      {item.status === "cut" && <p class="cut-note">cut off here</p>}
    </article>
  );
}

function CitedSource({ source: { title, uri, quote } }: { source: Source }) {
  const place = /^https?:\/\//.test(uri ?? "")
    ? <a href={uri} target="_blank" rel="noopener noreferrer">{uri}</a> : <span class="uri">{uri}</span>;
  const head = <><Glyph name="source" /><span class="title"><Inline text={title || uri || "source"} /></span>{place}</>;
  if (!quote) return <li><span class="source">{head}</span></li>;
  return <li><details><summary class="source">{head}</summary><q><Inline text={quote} /></q></details></li>;
}

const Reasoning = ({ item }: { item: ReasoningItem }) => (
  <details class="reasoning">
    <summary><span>{item.status === "open" ? "thinking …" : "thought about it"}</span></summary><div class="text">{item.text}</div>
  </details>
);

const TOOL_LABELS = { open: "being written", called: "at work", done: "done", cut: "cut off" };

/** A tool call: one line, with exact arguments and result a click away. */
function Tool({ item }: { item: ToolItem }) {
  const failed = item.error !== undefined && item.error !== null;
  return (
    <details class="tool" data-status={failed ? "failed" : item.status}>
      <summary><Glyph name="tool" /><span class="name">{item.name || "tool"}</span><span class="status">{failed ? "failed" : TOOL_LABELS[item.status]}</span></summary>
      <h4>arguments</h4><pre>{pretty(item.args)}</pre>
      <h4>result</h4><pre>{pretty(item.error ?? item.result ?? (item.blob ? `blob ${String(item.blob)}` : ""))}</pre>
    </details>
  );
}

export function pretty(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value, null, 2) ?? "";
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

const STEP_GLYPHS = { open: "running", complete: "completed", cut: "cancelled" };

const Step = ({ item }: { item: StepItem }) => (
  <p class="step" data-status={item.status}>
    <span class="icon"><Glyph name={STEP_GLYPHS[item.status]} /></span><span>{item.status === "cut" ? `${item.name} (cut off)` : item.name}</span>
  </p>
);

function Activity({ item, run }: { item: ActivityItem; run: RunState | undefined }) {
  const facts = budgetOf(item);
  if (facts) return <Budget item={item} facts={facts} run={run} />;
  return <details class="activity"><summary><span>{item.name || "activity"}</span></summary><pre>{pretty(item.content)}</pre></details>;
}

const STEER_LABELS = { pending: "on its way", delivered: "heard", dropped: "too late: the run had ended" };

/** Words put into a run while it works (CTL-4). */
function Steer({ item }: { item: SteerItem }) {
  const chat = useChat();
  return (
    <p class="steer" data-id={item.id} data-status={item.status}>
      <Glyph name="steer" /><span class="actor">{item.actor === chat.me ? "you steered" : `${nameOf(item.actor)} steered`}</span>
      <q class="text">{item.text}</q><span class="status">{STEER_LABELS[item.status]}</span>
      {item.status === "dropped" && <Button icon="send" label="send as new" kind="quiet" onClick={() => chat.send(item.text)} />}
    </p>
  );
}

/** An item inside an answer. `changedAt`: when it changed last; `sending`: an answer to it is on its way; `run`: of an activity
 * its run, and `version` of that, for a run changes in place, too. */
export const ItemView = memo(function ItemView({ item, superseded = false, sending = false, run }: {
  item: Item; changedAt: number; superseded?: boolean; sending?: boolean; run?: RunState | undefined; version?: number | undefined;
}) {
  switch (item.kind) {
    case "message": return <Message item={item} superseded={superseded} />;
    case "reasoning": return <Reasoning item={item} />;
    case "tool": return <Tool item={item} />;
    case "step": return <Step item={item} />;
    case "activity": return <Activity item={item} run={run} />;
    case "approval": return <Approval item={item} sending={sending} />;
    case "steer": return <Steer item={item} />;
  }
});
