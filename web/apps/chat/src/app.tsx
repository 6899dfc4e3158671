// Owns the page's frame: three panes (two of them drawers on a phone), the bar, the keyboard, and when to draw again.

import { Button, escapeInvisible, Glyph, listenToKeys, SimulatedStrip, useChanges } from "holdfast-look";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { useDemoInfo } from "./fault-controls.js";
import type { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { ChatContext, useChat } from "./context.js";
import { Conversation } from "./conversation.js";
import { connectionLabel, ConnectionPanel, connectionState } from "./connection-panel.js";
import { SessionSidebar } from "./sessions.js";
import { activeRuns, openRuns, stopsSent } from "./open-runs.js";

type Drawer = "left" | "right" | "";

const SUGGESTIONS = [
  ["librarian", "How does a reader resume after its connection was cut?"],
  ["librarian", "What happens to a run when its lease expires?"],
  ["librarian", "Who may decide an approval?"],
  ["clerk", "Note: a closed tab is not a cancel."],
] as const;

export const App = ({ chat }: { chat: Chat | null }) =>
  chat === null ? <Refused /> : <ChatContext.Provider value={chat}><Page /></ChatContext.Provider>;

function Page() {
  const chat = useChat();
  const [drawer, setDrawer] = useState<Drawer>("");
  const { session, client } = chat;
  useChanges((changed) => {
    const ends = [client.on("status", changed), onChange(chat, changed)];
    return () => ends.forEach((end) => end());
  }, [chat]);
  useChanges((changed) => session?.follow(changed) ?? (() => {}), [session]);
  useEffect(() => setDrawer(""), [session]);
  useReadMarks(chat);
  useKeys(chat, setDrawer);
  const state = connectionState(chat);
  useLayoutEffect(() => {
    Object.assign(document.body.dataset, { line: state.replace(" ", "-"), drawer });
    document.title = `${escapeInvisible(titleOf(chat))} · Holdfast`;
  });
  const refused = state === "refused";
  if (refused && !session?.view.items.length) return <Refused expired={client.principal !== ""} />;
  const takenBy = session?.view.handoff?.by ?? null;
  const toggle = (side: Drawer) => setDrawer((before) => (before === side ? "" : side));
  return (
    <>
      <SimulatedStrip at={client.connection.welcome?.simulated} />
      <div id="veil" onClick={() => setDrawer("")} />
      <SessionSidebar current={session?.id ?? null} />
      <main>
        <TitleBar takenBy={takenBy} toggle={toggle} />
        {refused && <p id="expired" class="banner">Your key has expired or was revoked: nothing more arrives, and nothing is sent. Open the address with a new one here; what you typed is kept.</p>}
        {!refused && takenBy !== null && <p id="taken" class="banner">{takenBy === chat.me ? "You have" : `${takenBy.split(":")[1]} has`} taken over; the agents are silent until this is given back.</p>}
        <MainPane />
        <Footer takenBy={takenBy} />
      </main>
      <ConnectionPanel />
    </>
  );
}

const titleOf = ({ session }: Chat): string => session?.view.title || (session === null ? "New conversation" : "Conversation");

function onChange(target: EventTarget, changed: () => void): () => void {
  target.addEventListener("change", changed);
  return () => target.removeEventListener("change", changed);
}

function TitleBar({ takenBy, toggle }: { takenBy: string | null; toggle: (side: Drawer) => void }) {
  const chat = useChat();
  const mine = takenBy === chat.me;
  const hidden = chat.session === null || (takenBy !== null && !mine);
  const state = connectionState(chat);
  return (
    <header id="bar">
      <button type="button" id="show-sessions" class="icon" aria-label="Sessions" onClick={() => toggle("left")}><Glyph name="menu" /></button>
      <h1 id="title">{titleOf(chat)}</h1>
      <Button icon="hand" label={mine ? "give back" : "take over"} kind="quiet" id="hand" class={hidden ? "away" : ""} aria-pressed={mine}
        title="Speak in place of the agents" onClick={() => chat.toggleHandoff()} />
      <button type="button" id="show-line" class="chip" title="The line: how the connection stands, and how to break it" onClick={() => toggle("right")}>
        <span class="dot" aria-hidden="true" /><span>{state === "live" ? state : connectionLabel(chat)}</span>
      </button>
    </header>
  );
}

function MainPane() {
  const chat = useChat();
  const { session } = chat;
  if (session?.status === "closed" && connectionState(chat) !== "refused") {
    return (
      <div id="scroller"><section id="gone">
        <h2>This session cannot be read.</h2><p>It was deleted, or your token does not reach it. Start a new one with <kbd>n</kbd>.</p>
      </section></div>
    );
  }
  if (session !== null && (session.view.items.length > 0 || session.sending.length > 0)) return <Conversation key={session.id} session={session} />;
  return (
    <div id="scroller">{(session === null || session.status === "live") && (
      <section id="empty">
        <h2>Ask, then break it.</h2>
        <p>A librarian reads this project’s documents with three sub-agents; a clerk writes notes when you let it. Cut the connection, kill the agent, close the tab: the answer ends exactly as it was written.</p>
        <div class="suggestions">{SUGGESTIONS.map(([agent, text]) => (
          <button key={text} type="button" onClick={() => chat.send(text, agent)}><small>{agent}</small>{text}</button>
        ))}</div>
      </section>
    )}</div>
  );
}

function Footer({ takenBy }: { takenBy: string | null }) {
  const chat = useChat();
  const { info } = useDemoInfo();
  return (
    <div id="foot">
      <Composer session={chat.session?.id ?? null} agents={info?.agents ?? ["librarian", "clerk"]} activeRuns={activeRuns(chat.session)} openRuns={openRuns(chat.session)}
        stopsSent={stopsSent(chat.session?.sending ?? [])} sessionAgent={chat.session?.view.agent ?? ""} takenBy={takenBy} />
      <p id="notice" role="status" data-kind={chat.notice.kind}>{chat.notice.text}</p>
    </div>
  );
}

/** What is on the screen is read. */
function useReadMarks(chat: Chat): void {
  const tail = chat.session?.status === "live" ? chat.session.cursor?.seq : undefined;
  const due = useRef(0);
  useEffect(() => {
    clearTimeout(due.current);
    due.current = window.setTimeout(() => chat.markRead(), 500);
  }, [chat, tail]);
}

function useKeys(chat: Chat, setDrawer: (drawer: Drawer) => void): void {
  useEffect(() => listenToKeys(() => ({
    "/": () => { setDrawer("left"); setTimeout(() => document.getElementById("search")?.focus()); },
    j: () => move(1), k: () => move(-1),
    s: () => chat.stop(openRuns(chat.session)), n: () => chat.open(null), i: () => document.getElementById("words")?.focus(),
    a: () => decide(chat, "approved"), d: () => decide(chat, "denied"),
    e: () => document.activeElement?.closest("article.input")?.querySelector<HTMLElement>("header > .quiet")?.click() ?? false,
    G: () => {
      const scroller = document.getElementById("scroller");
      if (scroller) scroller.scrollTop = scroller.scrollHeight;
    },
    Escape: () => { setDrawer(""); (document.activeElement as HTMLElement | null)?.blur(); },
  })), [chat]);
}

/** Move the focus by one turn or answer. */
function move(step: number): void {
  const stops = [...document.querySelectorAll<HTMLElement>("#list > article, #list > section")];
  const at = stops.indexOf(document.activeElement?.closest("#list > *") as HTMLElement);
  const next = stops[at < 0 ? (step > 0 ? stops.length - 1 : 0) : Math.min(stops.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** Decide the approval in focus, else the newest that waits. */
function decide(chat: Chat, decision: "approved" | "denied"): boolean {
  const pending = [...document.querySelectorAll<HTMLElement>('.approval[data-status="pending"]')];
  const card = pending.find((node) => node.contains(document.activeElement)) ?? pending.at(-1);
  const item = card && chat.session?.view.find("approval", card.dataset["id"] ?? "");
  if (!item) return false;
  chat.resolve(item, decision);
  return true;
}

const Refused = ({ expired = false }: { expired?: boolean }) => (
  <section id="refused"><div>
    <img src="./icon.svg" alt="" width="40" height="40" /><h1>{expired ? "Your key has expired or was revoked." : "This address has no key that opens it."}</h1>
    <p>The page is opened with a token. Go back to the terminal and open the address that <code>make demo</code> prints.</p>
  </div></section>
);
