// Owns where people speak: a new message, or, while an agent works, words that steer it; and the stop.

import { Button, Glyph } from "holdfast-look";
import type { RunState } from "holdfast-ai";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { useChat } from "./context.js";

const ROWS_PX = 200;

/** What was typed and not sent, by session; it outlives a reload. */
const draftOf = (session: string | null): string => sessionStorage.getItem(`holdfast.draft ${session ?? ""}`) ?? "";
const storeDraft = (session: string | null, text: string): void =>
  text ? sessionStorage.setItem(`holdfast.draft ${session ?? ""}`, text) : sessionStorage.removeItem(`holdfast.draft ${session ?? ""}`);

/**
 * `activeRuns`: root runs that are queued or running; `openRuns`: those that wait for people, too; `stopsSent`: runs whose stop is
 * on its way; `sessionAgent`: the session's own agent; `takenBy`: who has taken over, if anybody.
 */
export function Composer({ session, agents, activeRuns, openRuns, stopsSent, sessionAgent, takenBy }: {
  session: string | null; agents: readonly string[]; activeRuns: readonly RunState[]; openRuns: readonly RunState[];
  stopsSent: ReadonlySet<unknown>; sessionAgent: string; takenBy: string | null;
}) {
  const chat = useChat();
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState("");
  const agent = chosen || (agents.includes(sessionAgent) ? sessionAgent : chat.agent);
  const area = useRef<HTMLTextAreaElement>(null);
  const onType = (next: string) => {
    storeDraft(session, next);
    setText(next);
    chat.setTyping(next !== "");
  };
  useEffect(() => {
    setText(draftOf(session));
    setChosen("");
  }, [session]);
  useLayoutEffect(() => {
    const node = area.current!;
    node.style.height = "auto";
    node.style.height = `${Math.min(ROWS_PX, node.scrollHeight)}px`;
  }, [text]);
  const mode = takenBy !== null ? "operator" : activeRuns.length ? "steer" : "send";
  const stopping = openRuns.length > 0 && openRuns.every(({ id, cancel }) => cancel !== undefined || stopsSent.has(id));
  const steering = mode === "steer" && !stopping;
  const target = activeRuns.at(-1);
  const blocked = !text.trim() || (mode === "steer" && stopping);
  const submit = (action: string = mode) => {
    const words = text.trim();
    if (!words || (action === "steer" && blocked)) return;
    if (action === "steer") chat.steer(target!, words);
    else if (action === "interrupt") chat.interrupt(target!, words);
    else chat.send(words, agent);
    onType("");
  };
  const placeholder = {
    send: `Ask the ${agent} …`, steer: stopping ? "Stopping …" : `Steer the ${target?.agent ?? agent} while it works …`,
    operator: "You have taken over: write as yourself …",
  }[mode];
  return (
    <form id="composer" data-mode={mode} onSubmit={(event) => { event.preventDefault(); submit(); }}>
      <textarea id="words" rows={1} ref={area} value={text} placeholder={placeholder} aria-label="Message" maxLength={200_000}
        enterkeyhint="send" onInput={({ currentTarget }) => onType(currentTarget.value)} onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          submit();
        }} />
      <div class="controls">
        <fieldset id="agents" class={steering || mode === "operator" ? "away" : ""}><legend>To</legend>
          {agents.map((name) => (
            <label key={name}>
              <input type="radio" name="agent" value={name} checked={name === agent} onChange={() => { chat.agent = name; setChosen(name); }} />
              <span>{name}</span>
            </label>
          ))}
        </fieldset>
        <span class="spring" />
        <Button icon="stop" label={stopping ? "stop now" : "stop"} kind="danger" id="stop" class={openRuns.length ? "" : "away"} disabled={!openRuns.length}
          title={stopping ? "End it at once, whatever the agent does" : "Stop what runs here (s)"} onClick={() => chat.stop(openRuns)} />
        <button type="button" id="instead" class={steering ? "" : "away"} disabled={!steering || !text.trim()}
          title="Stop what runs, and ask this instead" onClick={() => submit("interrupt")}><span class="words">ask instead</span></button>
        <button type="submit" id="send" class="primary" disabled={blocked} title="Send (enter); new line (shift+enter)">
          <Glyph name="send" /><span class="words">{steering ? "steer" : "send"}</span>
        </button>
      </div>
    </form>
  );
}
