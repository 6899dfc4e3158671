// Owns the page of one session: who is here, what waits, what can be done; and its timeline, runs or raw events.

import { Button, Glyph, hueOf, nameOf, Rule, StopReason, useChanges, wantedBy } from "holdfast-look";
import { browserToolOf, ended, type ApprovalItem, type Session, type View } from "holdfast-ai";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { useConsole } from "./console.js";
import { Log } from "./log.js";
import { RunRadius } from "./radius.js";
import { RawEventList } from "./raw.js";
import { addressOf, navigate } from "./route.js";
import { RunTree } from "./runs.js";
import { Timeline } from "./timeline.js";

const PANES = [["timeline", "Timeline"], ["runs", "Runs"], ["raw", "Raw events"]] as const;

export function SessionPage({ id, at, pane }: { id: string; at: string | null; pane: string }) {
  const operator = useConsole();
  const session = useMemo(() => operator.client.session(id), [operator, id]);
  useChanges((changed) => session.follow(changed), [session]);
  const log = useLog(session);
  if (session.status === "closed") return <p class="nothing">There is no session {id}, or this token may not read it.</p>;
  const count = at === null ? log.events.length : log.countTo(Number(at));
  const scrub = (event: number | null) => navigate("session", id, { ...(pane === "timeline" ? {} : { pane }), ...(event === null ? {} : { at: String(event) }) });
  return (
    <section class="session-page">
      <header class="bar">
        <a class="button quiet" href="#/sessions" aria-label="All sessions"><Glyph name="left" /></a>
        <h1>{session.view.title || id}</h1>
        <span class="count">{session.cursor?.seq.toLocaleString() ?? "…"} of {session.tail.toLocaleString()}</span>
        <nav aria-label="Views of the session" class="panes">{PANES.map(([name, words]) => (
          <a key={name} href={addressOf("session", id, { ...(name === "timeline" ? {} : { pane: name }), ...(at === null ? {} : { at }) })} aria-current={pane === name ? "page" : undefined}>{words}</a>
        ))}</nav>
        <CopyCommand id={id} at={at} />
      </header>
      <div class="split">
        <div class="pane">
          {pane === "runs" ? <RunTree session={session} runs={[...session.view.runs.values()]} />
            : pane === "raw" ? <RawEventList log={log} focus={at === null ? undefined : count - 1} choose={scrub} />
            : <Timeline log={log} count={count} live={at === null} scrub={scrub} />}
        </div>
        <aside class="beside">
          <PendingApprovals session={session} />
          <RunControls session={session} view={session.view} />
          <section><h2>Here now</h2><ul class="here">
            {session.here.map(({ actor, connection, surface, device }) => (
              <li key={`${connection}${actor}`} style={{ "--hue": String(hueOf(actor)) }}>
                <span class="avatar">{nameOf(actor).slice(0, 1)}</span><span class="who">{nameOf(actor)}</span><span class="where">{[surface, device].filter(Boolean).join(" · ")}</span>
                <Button icon="scissors" label="cut" kind="quiet" title="Drop this connection without a word; it comes back by itself"
                  onClick={() => void operator.perform(() => operator.request(`connections/${connection}`, "DELETE"), `The connection of ${nameOf(actor)} was cut.`)} />
              </li>
            ))}
            {!session.here.length && <li class="nobody">nobody</li>}
          </ul></section>
        </aside>
      </div>
    </section>
  );
}

/** The log, and drawing again as it grows. */
function useLog(session: Session): Log {
  const operator = useConsole();
  const log = useMemo(() => new Log(operator, session), [operator, session]);
  useEffect(() => () => log.close(), [log]);
  useChanges((changed) => {
    log.addEventListener("change", changed);
    return () => log.removeEventListener("change", changed);
  }, [log]);
  return log;
}

/** The same on the command line. */
function CopyCommand({ id, at }: { id: string; at: string | null }) {
  const [copied, setCopied] = useState(false);
  const words = `holdfast tail ${id}${at === null ? "" : " --raw"} --url ${location.origin}`;
  return (
    <Button icon="copy" label={copied ? "copied" : "copy as command"} kind="quiet" title={words} onClick={() => {
      void navigator.clipboard?.writeText(words);
      setCopied(true);
      setTimeout(() => setCopied(false), 1_500);
    }} />
  );
}

function PendingApprovals({ session }: { session: Session }) {
  const operator = useConsole();
  const pending = session.view.items.filter((item): item is ApprovalItem => item.kind === "approval" && item.status === "pending");
  const decisions = pending.filter((item) => item.purpose !== "call");
  const decide = (item: ApprovalItem, approve: boolean) =>
    operator.perform(() => (approve ? session.approve(item.id, { hash: item.hash }) : session.deny(item.id, { hash: item.hash })), `${item.tool} was ${approve ? "approved" : "denied"}.`);
  return <>
    {decisions.length > 0 && <section><h2>Waits for a person</h2>{decisions.map((item, at) => (
      <article class="approval" key={item.id} data-status="pending">
        <h3><Glyph name="waiting" />{nameOf(wantedBy(item))} wants to run <code>{item.tool}</code>{item.requester && wantedBy(item) !== item.requester ? ` for ${nameOf(item.requester)}` : ""}</h3>
        <pre tabIndex={0}>{JSON.stringify(item.args, null, 2)}</pre>
        <Rule item={item} />
        {decisions.findIndex(({ run }) => run === item.run) === at && <RunRadius session={session.id} run={item.run} />}
        <div class="row">
          <Button icon="completed" label="Approve" kind="primary" onClick={() => void decide(item, true)} />
          <Button icon="close" label="Deny" kind="danger" onClick={() => void decide(item, false)} />
        </div>
      </article>
    ))}</section>}
    {pending.length > decisions.length && <section><h2>Waits for a browser</h2>{pending.map((item) => <InBrowser key={item.id} item={item} />)}</section>}
  </>;
}

/** A call that some tab takes and answers: nobody decides it here. */
function InBrowser({ item }: { item: ApprovalItem }) {
  const tool = browserToolOf(item);
  if (tool === null) return null;
  const whose = typeof item.args["person"] === "string" ? ` of ${nameOf(item.args["person"])}'s` : "";
  return (
    <p class="hint in-browser">{nameOf(item.actor)} waits for {item.tool === "browser.result" ? "the tab that took" : `a tab${whose} that has`} <code>{tool}</code></p>
  );
}

/** Stop and steer what works. */
function RunControls({ session, view }: { session: Session; view: View }) {
  const operator = useConsole();
  const words = useRef<HTMLInputElement>(null);
  const active = [...view.runs.values()].filter((run) => run.parent === undefined && !ended(run));
  if (!active.length) return <section><h2>At work</h2><p class="hint">Nothing runs.</p></section>;
  const running = active.findLast(({ status }) => status === "running");
  return (
    <section><h2>At work</h2>
      {active.map((run) => (
        <div class="control" key={run.id}>
          <span><b>{run.agent}</b> <small>{run.id} · {run.status}{run.cancel ? ", stopping" : ""}</small></span>
          <Button icon="stop" label={run.cancel ? "stop now" : "stop"} kind="danger"
            onClick={() => void operator.perform(() => session.cancel({ run: run.id, force: run.cancel !== undefined }), `${run.agent} was asked to stop.`)} />
          <StopReason run={run} />
        </div>
      ))}
      {running && (
        <form class="steer" onSubmit={(event) => {
          event.preventDefault();
          const text = words.current!.value.trim();
          if (!text) return;
          words.current!.value = "";
          void operator.perform(() => session.steer(running.id, text), "The steer is on its way.");
        }}>
          <input ref={words} placeholder={`Steer the ${running.agent} …`} aria-label="Steer" /><Button icon="steer" label="steer" type="submit" />
        </form>
      )}
    </section>
  );
}
