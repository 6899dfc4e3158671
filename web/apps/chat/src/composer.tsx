// Owns where people speak: a new message, or, while an agent works, words that steer it; and the stop.

import { Button, Glyph } from "@holdfast/look";
import type { RunState } from "@holdfast/client";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { useChat } from "./context.js";

const ROWS_PX = 200;
const drafts = new Map<string | null, string>(); // what was typed and not sent, by session

/** `active`: root runs that are queued or running; `taken`: who has taken over, if anybody. */
export function Composer({ session, agents, active, taken }: {
  session: string | null; agents: readonly string[]; active: readonly RunState[]; taken: string | null;
}) {
  const chat = useChat();
  const [text, setText] = useState("");
  const [agent, setAgent] = useState(chat.agent);
  const area = useRef<HTMLTextAreaElement>(null);
  const typed = (next: string) => {
    drafts.set(session, next);
    setText(next);
    chat.typing(next !== "");
  };
  useEffect(() => setText(drafts.get(session) ?? ""), [session]);
  useLayoutEffect(() => {
    const node = area.current!;
    node.style.height = "auto";
    node.style.height = `${Math.min(ROWS_PX, node.scrollHeight)}px`;
  }, [text]);
  const mode = taken !== null ? "operator" : active.length ? "steer" : "send";
  const stopping = active.length > 0 && active.every(({ cancel }) => cancel !== undefined);
  const steering = mode === "steer" && !stopping;
  const target = active.at(-1);
  const blocked = !text.trim() || (mode === "steer" && stopping);
  const submit = (how: string = mode) => {
    const words = text.trim();
    if (!words || (how === "steer" && blocked)) return;
    if (how === "steer") chat.steer(target!, words);
    else if (how === "interrupt") chat.interrupt(target!, words);
    else chat.say(words, agent);
    typed("");
  };
  const placeholder = {
    send: `Ask the ${agent} …`, steer: stopping ? "Stopping …" : `Steer the ${target?.agent ?? agent} while it works …`,
    operator: "You have taken over: write as yourself …",
  }[mode];
  return (
    <form id="composer" data-mode={mode} onSubmit={(event) => { event.preventDefault(); submit(); }}>
      <textarea id="words" rows={1} ref={area} value={text} placeholder={placeholder} aria-label="Message" maxLength={200_000}
        enterkeyhint="send" onInput={({ currentTarget }) => typed(currentTarget.value)} onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          submit();
        }} />
      <div class="controls">
        <fieldset id="agents" class={steering || mode === "operator" ? "away" : ""}><legend>To</legend>
          {agents.map((name) => (
            <label key={name}>
              <input type="radio" name="agent" value={name} checked={name === agent} onChange={() => { chat.agent = name; setAgent(name); }} />
              <span>{name}</span>
            </label>
          ))}
        </fieldset>
        <span class="spring" />
        <Button icon="stop" words={stopping ? "stop now" : "stop"} kind="danger" id="stop" class={active.length ? "" : "away"} disabled={!active.length}
          title={stopping ? "End it at once, whatever the agent does" : "Stop what runs here (s)"} onClick={() => chat.stop(active)} />
        <button type="button" id="instead" class={steering ? "" : "away"} disabled={!steering || !text.trim()}
          title="Stop what runs, and ask this instead" onClick={() => submit("interrupt")}><span class="words">ask instead</span></button>
        <button type="submit" id="send" class="primary" disabled={blocked} title="Send (enter); new line (shift+enter)">
          <Glyph name="send" /><span class="words">{steering ? "steer" : "send"}</span>
        </button>
      </div>
    </form>
  );
}
