// Owns the connection panel ("the line"): how the connection stands, what recoveries came to, who is here, and what arrives.

import { clock, hueOf, nameOf, requestJson, useChanges } from "holdfast-look";
import type { PresenceEntry, Session, SessionEvent } from "holdfast-ai";
import { useEffect, useRef, useState } from "preact/hooks";

import { FaultControls } from "./fault-controls.js";
import type { Chat } from "./chat.js";
import { useChat } from "./context.js";

const SECONDS = 48;
const BAR_PX = 5;
const RAW_EVENTS = 40;

/** "live", "catching up", "offline", "closed" or "refused". */
export function connectionState({ client, session }: Chat): string {
  const { state, error } = client.status;
  if (state === "offline") return error?.code.startsWith("auth.") ? "refused" : "offline";
  if (session === null) return "live";
  return { live: "live", "catching-up": "catching up", offline: "catching up", idle: "catching up", closed: "closed" }[session.status];
}

/** The same in words, with the round trip or the time to the next try. */
export function connectionLabel(chat: Chat): string {
  const state = connectionState(chat);
  const { retryAt, rttMs } = chat.client.status;
  if (state === "offline") {
    const seconds = retryAt === null ? 0 : Math.ceil((retryAt - Date.now()) / 1000);
    return seconds > 0 ? `offline · ${seconds} s` : "offline · trying";
  }
  return state === "live" && rttMs !== null ? `live · ${rttMs < 1 ? "< 1" : Math.round(rttMs)} ms` : state;
}

export function ConnectionPanel() {
  const chat = useChat();
  const { session, client } = chat;
  useSeconds();
  return (
    <aside id="right" aria-label="The line">
      <section>
        <h2>The line {client.status.state === "offline" && <button type="button" id="now" class="quiet" onClick={() => client.reconnect()}><span class="words">try now</span></button>}</h2>
        <p class="big"><span class="dot" aria-hidden="true" /><span>{connectionLabel(chat)}</span></p>
        <EventRate session={session} />
      </section>
      <FaultControls />
      {chat.recoveries.length > 0 && (
        <section id="recoveries-box"><h2>Recoveries</h2>
          <ul id="recoveries">{chat.recoveries.map(({ at, text, exact }) => (
            <li key={at} data-exact={String(exact)}><time>{clock(at)}</time><span>{text}</span></li>
          ))}</ul>
        </section>
      )}
      <section><h2>Here now</h2><People here={session?.here ?? []} me={chat.me} away={client.status.state === "offline"} /></section>
      <RawEventsPanel session={session} />
      <section class="keys"><details><summary>Keys</summary><dl>
        <dt>enter</dt><dd>send, or steer</dd><dt>s</dt><dd>stop; again: at once</dd><dt>a · d</dt><dd>approve, deny</dd>
        <dt>j · k</dt><dd>down, up</dd><dt>e</dt><dd>edit the message in focus</dd><dt>/</dt><dd>search</dd><dt>n</dt><dd>new</dd><dt>i</dt><dd>write</dd><dt>G</dt><dd>to the end</dd>
      </dl></details></section>
    </aside>
  );
}

/** Draw again every second: what counts down, or up. */
function useSeconds(): void {
  const [, setNow] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setNow((before) => before + 1), 1_000);
    return () => clearInterval(timer);
  }, []);
}

/** Cursor, and events per second over the last three quarters of a minute. */
function EventRate({ session }: { session: Session | null }) {
  const counts = useRef<number[]>(Array<number>(SECONDS).fill(0));
  const lastSeen = useRef({ session, seq: session?.cursor?.seq ?? 0 });
  const [shown, setShown] = useState<readonly number[]>(counts.current);
  useEffect(() => {
    if (lastSeen.current.session !== session) setShown((counts.current = Array<number>(SECONDS).fill(0)));
    const timer = setInterval(() => {
      const seq = session?.cursor?.seq ?? 0;
      const before = lastSeen.current.session === session && lastSeen.current.seq ? lastSeen.current.seq : seq;
      lastSeen.current = { session, seq };
      counts.current = [...counts.current.slice(1), Math.max(0, seq - before)];
      setShown(counts.current);
    }, 1_000);
    return () => clearInterval(timer);
  }, [session]);
  const most = Math.max(8, ...shown);
  const bars = shown.map((count, at) => {
    const height = count ? Math.max(1.5, (count / most) * 27) : 0.75;
    return `M${at * BAR_PX + 0.5} 28v-${height.toFixed(1)}h${BAR_PX - 1.5}v${height.toFixed(1)}z`;
  });
  const seq = session?.cursor?.seq ?? 0;
  return (
    <>
      <dl class="facts">
        <dt>cursor</dt><dd id="cursor">{session === null ? "–" : `${seq} / ${Math.max(seq, session.tail)}`}</dd>
        <dt>events</dt><dd>{shown.at(-1)}/s</dd>
      </dl>
      <svg id="rate" viewBox="0 0 240 28" preserveAspectRatio="none" role="img" aria-label="Events per second over the last 48 seconds"><path d={bars.join("")} /></svg>
    </>
  );
}

function People({ here, me, away }: { here: readonly PresenceEntry[]; me: string; away: boolean }) {
  const groups = new Map<string, PresenceEntry[]>();
  for (const entry of here) groups.set(entry.actor, [...(groups.get(entry.actor) ?? []), entry]);
  if (!groups.size) return <ul id="here"><li class="nobody">{away ? "not known while offline" : "nobody yet"}</li></ul>;
  return (
    <ul id="here">{[...groups].map(([actor, entries]) => {
      const person = actor.startsWith("user:");
      const devices = [...new Set(entries.map(({ device }) => device).filter(Boolean))].join(", ");
      const where = [
        entries.some(({ doing }) => doing?.["typing"]) && "typing", person && entries.length > 1 && `${entries.length} tabs`, person ? devices : "at work",
      ];
      return (
        <li key={actor} style={{ "--hue": String(hueOf(actor)) }}>
          <span class="avatar">{nameOf(actor).slice(0, 1)}</span><span class="who">{actor === me ? "you" : nameOf(actor)}</span>
          <span class="where">{where.filter(Boolean).join(" · ")}</span>
        </li>
      );
    })}</ul>
  );
}

/** The newest events as they are in the log, and those that follow; read only while somebody looks. */
function RawEventsPanel({ session }: { session: Session | null }) {
  const [open, setOpen] = useState(false);
  return (
    <section><details id="raw" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}><summary>Raw events</summary>
      {open && session !== null && <RawEvents key={session.id} session={session} />}
    </details></section>
  );
}

function RawEvents({ session }: { session: Session }) {
  const chat = useChat();
  const newestFirst = useRef<SessionEvent[]>([]);
  useChanges((changed) => {
    const show = (newest: readonly SessionEvent[]) => {
      newestFirst.current = [...newest.toReversed(), ...newestFirst.current].slice(0, RAW_EVENTS);
      changed();
    };
    let closed = false;
    let events: ReturnType<Session["events"]> | undefined;
    void (async () => {
      try {
        const { incarnation, tail, newest } = await newestOf(session, chat.token);
        if (closed) return;
        show(newest);
        events = session.events({ incarnation, seq: tail });
        for await (const item of events) if ("actor" in item) show([item]);
      } catch { // the session cannot be read any more; the page says so elsewhere
      }
    })();
    return () => {
      closed = true;
      void events?.return();
    };
  }, [session]);
  const lines = newestFirst.current.map(({ seq, type, run, data }) => `${seq} ${type} ${run ?? ""} ${JSON.stringify(data)}`);
  return <pre id="raw-text" tabIndex={0}>{lines.join("\n") || "Events appear here as they arrive."}</pre>;
}

/** The end of the log as it is now. */
async function newestOf(session: Session, token: string) {
  const after = Math.max(0, session.tail - RAW_EVENTS);
  const path = `v1/sessions/${encodeURIComponent(session.id)}/events?after=${after}`;
  const page = await requestJson<{ incarnation: string; tail: number; frames: { events?: SessionEvent[] }[] }>(path, token);
  return { ...page, newest: page.frames.flatMap(({ events = [] }) => events).slice(-RAW_EVENTS) };
}
