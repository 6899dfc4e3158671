// Owns the console's frame: the pages, one search box, the keyboard, and how the line stands.

import { Button, Glyph, listenToKeys, type RequestError, SimulatedStrip, useChanges } from "holdfast-look";
import { useEffect, useRef } from "preact/hooks";

import { ConnectionTable } from "./connections.js";
import { type Console, ConsoleContext, useConsole } from "./console.js";
import { lazily } from "./lazy.js";
import { loginAddress, loggedOutHere, logOut } from "./login.js";
import { navigate, useRoute } from "./route.js";
import { RunTable } from "./runs.js";
import { SessionPage } from "./session.js";
import { SessionTable } from "./sessions.js";

const PAGES = [["sessions", "Sessions"], ["runs", "Runs"], ["connections", "Connections"], ["traffic", "Traffic"], ["spend", "Spend"], ["plan", "Plan"]] as const;
/** What somebody needs for a page to be any use to them; the server decides. The pages on money say it themselves. */
const offered = (operator: Console, name: string): boolean =>
  name === "sessions" ? operator.may("read", "some") : name === "spend" || name === "plan" ? operator.governed : operator.may("admin");
/** Of governance: they are below Spend, and loaded when somebody opens one. */
const MONEY_PAGES: ReadonlySet<string> = new Set(["spend", "budgets", "models", "routing", "outcomes", "bill", "waste", "callers", "keys", "prices", "rows", "row", "cost"]);
const MoneyPages = lazily(() => import("./governance/index.js"));
const PlanPages = lazily(() => import("./plan/index.js"));
const Traffic = lazily(() => import("./traffic.js"));

/** `login`: the server has one; without a token it is offered. `error`: why it could not be said who this is. */
export const App = ({ operator, login = false, error = null }: { operator: Console | null; login?: boolean; error?: RequestError | null }) =>
  operator === null ? <Refused login={login} error={error} /> : <ConsoleContext.Provider value={operator}><ConsoleFrame /></ConsoleContext.Provider>;

function ConsoleFrame() {
  const operator = useConsole();
  const { client } = operator;
  const route = useRoute();
  useChanges((changed) => {
    operator.addEventListener("change", changed);
    const end = client.on("status", changed);
    return () => {
      operator.removeEventListener("change", changed);
      end();
    };
  }, [operator]);
  const { state, error, rttMs } = client.status;
  const refused = state === "offline" && error?.code.startsWith("auth.");
  useEffect(() => {
    document.body.dataset["line"] = refused ? "refused" : state;
  });
  useKeys();
  if (refused) return <Refused login={operator.renew !== null} ended />;
  const home = location.hash.replace(/^#\/?/, "") === "" && !operator.may("read", "some"); // whose rights are over money only
  const page = home ? "spend" : route.page === "session" ? "sessions" : MONEY_PAGES.has(route.page) ? "spend" : route.page;
  return (
    <>
      <SimulatedStrip at={client.connection.welcome?.simulated} />
      <header id="top">
        <a class="wordmark" href={operator.may("read", "some") ? "#/sessions" : "#/spend"}><img src="./icon.svg" alt="" width="20" height="20" /><span>Holdfast</span></a>
        <nav aria-label="Pages">{PAGES.filter(([name]) => page === name || offered(operator, name)).map(([name, words]) => (
          <a key={name} href={`#/${name}`} aria-current={page === name ? "page" : undefined}>{words}</a>
        ))}</nav>
        <SearchBox />
        {operator.renew !== null && <Button icon="close" label="log out" kind="quiet" title={`You are ${operator.actor}`} onClick={() => void logOut().catch(({ message, fix }: RequestError) => operator.showNotice(`${message} ${fix}`, "error"))} />}
        <span class="chip" role="status"><span class="dot" aria-hidden="true" /><span>{state === "live" && rttMs !== null ? `live · ${Math.max(1, Math.round(rttMs))} ms` : state}</span></span>
      </header>
      <main id="page" tabIndex={-1}>
        {route.page === "session" ? <SessionPage key={route.id} id={route.id} at={route.query.get("at")} pane={route.query.get("pane") ?? "timeline"} />
          : route.page === "runs" ? <RunTable />
          : route.page === "connections" ? <ConnectionTable />
          : route.page === "traffic" ? <Traffic />
          : route.page === "plan" ? <PlanPages route={route} />
          : page === "spend" ? <MoneyPages route={home ? { ...route, page } : route} />
          : <SessionTable query={route.query} />}
      </main>
      <p id="notice" role="status" data-kind={operator.notice.kind}>{operator.notice.text}</p>
    </>
  );
}

/** One box for everything: `session`, `session seq`, or words to look for. */
function SearchBox() {
  const box = useRef<HTMLInputElement>(null);
  const operator = useConsole();
  const search = () => {
    const words = box.current!.value.trim();
    const [first = "", second = ""] = words.split(/[\s@]+/);
    const rows = operator.client.sessions({ all: true }).rows;
    const exists = rows.some(({ session }) => session === first);
    if (exists && /^\d+$/.test(second)) navigate("session", first, { at: second });
    else if (exists) navigate("session", first, second ? { pane: "runs" } : {});
    else navigate("sessions", "", words ? { q: words } : {});
    box.current!.blur();
  };
  return (
    <form class="search" role="search" onSubmit={(event) => { event.preventDefault(); search(); }}>
      <Glyph name="search" /><input id="find" type="search" ref={box} placeholder="Session, person or seq" aria-label="Find" title="A session, a person, an agent or a workflow; behind a session a seq, or one of its runs" autocomplete="off" /><kbd aria-hidden="true">/</kbd>
    </form>
  );
}

function useKeys(): void {
  useEffect(() => listenToKeys(() => ({
    "/": () => document.getElementById("find")?.focus(),
    j: () => move(1), k: () => move(-1),
    1: () => navigate("sessions"), 2: () => navigate("runs"), 3: () => navigate("connections"), 4: () => navigate("traffic"), 5: () => navigate("spend"), 6: () => navigate("plan"),
    Escape: () => (document.activeElement as HTMLElement | null)?.blur(),
  })), []);
}

/** Move the focus by one row of whatever list is shown. */
function move(step: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("#page [data-row]")];
  const at = rows.indexOf(document.activeElement?.closest("[data-row]") as HTMLElement);
  rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
}

/** Nobody is named, or nobody any more. `ended`: somebody was, until just now. */
function Refused({ login, ended = false, error = null }: { login: boolean; ended?: boolean; error?: RequestError | null }) {
  const loggedOut = loggedOutHere();
  const title = error ? "Who you are cannot be said just now." : loggedOut ? "You are logged out." : ended ? "Your login has ended." : "Log in to open the console.";
  return (
    <section id="refused"><div>
      <img src="./icon.svg" alt="" width="40" height="40" /><h1>{login ? title : "This address has no key that opens it."}</h1>
      {error && <p role="alert">{error.message} {error.fix}</p>}
      {login ? <p>{loggedOut ? "Every token of this login ended with it. At your identity provider you may still be logged in." : "Your identity provider says who you are; your groups there say what you may do here. You come back to this page."}</p>
        : <p>There is none in it, or it has expired or was revoked. The console is opened with a token of somebody who may administer. <code>holdfast serve</code> prints one on a terminal; elsewhere mint one with <code>holdfast token user:you</code> and open <code>/console/#t=TOKEN</code>.</p>}
      <p class="row">{login && <a class="button primary" href={loginAddress()}>log in</a>}<Button icon="again" label="try again" onClick={() => location.reload()} /></p>
      {login && <p><small>Without the provider: <code>/console/#t=TOKEN</code> with a token that <code>holdfast token user:you</code> made.</small></p>}
    </div></section>
  );
}
