// The page: one connection, one session in view, and what people do in it.

import { Composer } from "./composer.js";
import { Connection, newKey } from "./connection.js";
import { Conversation } from "./conversation.js";
import { say } from "./element.js";
import { listen } from "./keys.js";
import { Breaking, Line } from "./line.js";
import { Session } from "./session.js";
import { Sessions } from "./sessions.js";

const TITLE_CHARS = 60;
const byId = (id) => document.getElementById(id);

/** The token comes in the fragment, which no server sees; it leaves the address at once. */
function arrive() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("t")) {
    sessionStorage.setItem("holdfast.token", given.get("t"));
    history.replaceState(null, "", given.has("s") ? `#/${given.get("s")}` : location.pathname);
  }
  return sessionStorage.getItem("holdfast.token") ?? "";
}

class App {
  constructor(token) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.connection = new Connection({ url: `${scheme}://${location.host}/v1/connect`, token, surface: "web", device: device() });
    this.session = null;
    this.typingShown = false;
    this.line = new Line({
      states: document.querySelectorAll("[data-line-state]"), cursor: byId("cursor"), rate: byId("rate"),
      rateNumber: byId("rate-number"), recoveries: byId("recoveries"), recoveriesBox: byId("recoveries-box"),
      here: byId("here"), notice: byId("notice"), raw: byId("raw"), rawText: byId("raw-text"), now: byId("now"),
    });
    this.conversation = new Conversation(
      { scroller: byId("scroller"), list: byId("list"), below: byId("below"), empty: byId("empty") }, this.context(),
    );
    this.composer = new Composer({
      form: byId("composer"), area: byId("words"), stop: byId("stop"), instead: byId("instead"),
      sendButton: byId("send"), agents: byId("agents"),
    }, this.speech());
    this.sessions = new Sessions(
      { list: byId("sessions-list"), search: byId("search"), empty: byId("sessions-empty") }, { open: (id) => this.open(id) },
    );
    this.breaking = new Breaking({ table: byId("break"), others: byId("others") }, {
      connection: this.connection, link: () => this.linkToHere(), session: () => this.session?.id, tell: (text, kind) => this.line.tell(text, kind),
    });
    this.wire();
    this.line.bind(this.connection, null);
    this.open(addressed());
    this.connection.open();
  }

  wire() {
    const { connection } = this;
    connection.on("status", (status) => this.statusChanged(status));
    connection.on("welcome", () => this.welcomed());
    connection.on("outbox", () => { this.conversation.outboxChanged = true; this.changed(); });
    connection.on("sessions", (message) => this.sessions.received(message));
    for (const op of ["snapshot", "events", "skip", "live", "closed", "presence"]) {
      connection.on(op, (message, size) => message.session === this.session?.id && this.session.received(message, size));
    }
    addEventListener("hashchange", () => addressed() !== (this.session?.id ?? null) && this.open(addressed()));
    addEventListener("pagehide", () => this.session?.keep());
    document.addEventListener("visibilitychange", () => (document.hidden ? this.session?.keep() : this.session?.markRead()));
    byId("new").addEventListener("click", () => this.open(null));
    byId("now").addEventListener("click", () => connection.wake());
    byId("hand").addEventListener("click", () => this.hand());
    for (const [id, name] of [["show-sessions", "left"], ["show-line", "right"]]) byId(id).addEventListener("click", () => drawer(name));
    byId("veil").addEventListener("click", () => drawer(null));
    for (const suggestion of document.querySelectorAll("[data-ask]")) {
      suggestion.addEventListener("click", () => this.say(suggestion.dataset.ask, suggestion.dataset.agent));
    }
    listen({
      "/": () => { drawer("left"); byId("search").focus(); },
      j: () => this.conversation.move(1), k: () => this.conversation.move(-1),
      s: () => this.composer.halt(), n: () => this.open(null), i: () => this.composer.area.focus(),
      a: () => this.answer("approved"), d: () => this.answer("denied"),
      e: () => document.activeElement?.closest("article.input")?.querySelector("header .quiet")?.click() ?? false,
      G: () => this.conversation.toTail(),
      Escape: () => { drawer(null); document.activeElement?.blur(); },
    });
  }

  // --- the connection
  statusChanged(status) {
    if (status === "offline" || status === "refused") this.session?.disconnected();
    byId("refused").hidden = status !== "refused" && this.connection.token !== "";
    this.line.update();
  }

  welcomed() {
    this.connection.request({ op: "watch" }).catch(() => {});
    if (this.session !== null && !this.creating(this.session.id)) this.session.subscribe();
    this.breaking.load();
    this.line.update();
  }

  creating(id) {
    return this.connection.outbox().some((op) => op.op === "create" && op.session === id);
  }

  /** Something may look different: draw once, with the next frame. */
  changed() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  draw() {
    const { session } = this;
    this.conversation.draw();
    this.line.update();
    const view = session?.view;
    const active = view ? [...view.runs.values()].filter((run) => run.parent === undefined && ["queued", "running"].includes(run.status)) : [];
    this.composer.update(active, view?.handoff ?? null);
    const title = view?.title || (session === null ? "New conversation" : "Conversation");
    say(byId("title"), title);
    document.title = `${title} · Holdfast`;
    this.drawHand(view);
    byId("gone").hidden = session?.state !== "closed";
  }

  drawHand(view) {
    const node = byId("hand");
    const mine = view?.handoff?.by === this.me();
    node.classList.toggle("away", !view || (view.handoff !== null && !mine));
    node.setAttribute("aria-pressed", String(mine));
    say(node.querySelector(".words"), mine ? "give back" : "take over");
    byId("taken").hidden = !view?.handoff;
    if (view?.handoff) say(byId("taken"), `${mine ? "You have" : `${view.handoff.by.split(":")[1]} has`} taken over; the agents are silent until this is given back.`);
  }

  me() {
    return this.connection.welcome?.principal ?? "user:you";
  }

  // --- which session
  open(id) {
    if (this.session !== null) this.session.leave();
    this.session = id === null ? null : new Session(this.connection, id, {
      changed: () => this.changed(),
      here: (here) => this.line.drawHere(here),
      recovered: (line) => this.line.recovered(line),
      frame: (message) => this.line.frame(message),
    });
    if (addressed() !== id) history.pushState(null, "", id === null ? location.pathname : `#/${id}`);
    this.conversation.reset(this.session);
    this.composer.show(id);
    this.sessions.select(id);
    this.line.tell("");
    this.line.bind(this.connection, this.session);
    if (this.breaking.info?.share) this.breaking.load();
    if (this.session !== null && !this.creating(id)) this.session.subscribe();
    drawer(null);
    this.changed();
  }

  linkToHere() {
    const here = this.session === null ? "" : `&s=${encodeURIComponent(this.session.id)}`;
    return `${location.origin}/#t=${this.connection.token}${here}`;
  }

  // --- what people do
  /** Do an operation on the session in view; what is refused is said. */
  async act(op) {
    try {
      return await this.connection.request({ session: this.session.id, ...op });
    } catch (error) {
      if (error.code !== "connection.lost") this.line.tell(explain(error), "error");
      return null;
    }
  }

  say(text, agent) {
    if (this.session === null) {
      const id = `s-${newKey().slice(0, 20)}`;
      const title = text.length > TITLE_CHARS ? `${text.slice(0, TITLE_CHARS).replace(/\s+\S*$/, "")} …` : text;
      const created = this.connection.request({ op: "create", session: id, title, agent });
      this.open(id);
      created.then(() => this.session?.id === id && this.session.subscribe(), (error) => this.line.tell(explain(error), "error"));
    }
    this.act({ op: "send", text, agent, key: newKey() });
    this.conversation.toTail();
  }

  speech() {
    return {
      say: (text, agent) => this.say(text, agent),
      steer: (run, text) => { this.act({ op: "steer", run: run.id, text, key: newKey() }); this.conversation.toTail(); },
      interrupt: (run, text) => this.act({ op: "interrupt", run: run.id, text, key: newKey() }),
      stop: (runs) => runs.forEach((run) => this.act({ op: "cancel", run: run.id, force: run.cancel !== undefined })),
      typing: (typing) => this.showTyping(typing),
    };
  }

  context() {
    return {
      me: () => this.me(),
      outbox: () => this.connection.outbox(),
      say: (text) => this.say(text, this.composer.agent),
      edit: (item, text) => this.act({ op: "send", text, edits: item.id, agent: item.agent ?? "", key: newKey() }),
      regenerate: (run) => this.act({ op: "regenerate", input: run.input, agent: run.agent }),
      resolve: (item, decision) => this.act({ op: "resolve", approval: item.id, decision, hash: item.hash }),
      select: (what) => this.act({ op: "select", ...what }),
      copy: (run, node) => this.copy(run, node),
    };
  }

  showTyping(typing) {
    if (typing === this.typingShown || this.session?.state !== "live") return;
    this.typingShown = typing;
    this.connection.request({ op: "presence", session: this.session.id, doing: typing ? { typing } : {} }).catch(() => {});
  }

  answer(decision) {
    const card = this.conversation.waiting();
    if (card === null) return false;
    const item = this.session.view.find("approval", card.dataset.id);
    return this.act({ op: "resolve", approval: item.id, decision, hash: item.hash });
  }

  hand() {
    const taken = this.session?.view.handoff;
    if (this.session !== null) this.act({ op: taken ? "give_back" : "take" });
  }

  async copy(run, node) {
    const texts = this.session.view.items.filter((item) => item.kind === "message" && item.run === run.id && item.status !== "cut");
    await navigator.clipboard?.writeText(texts.map((item) => item.text).join("\n\n"));
    const words = node.querySelector(".words");
    say(words, "copied");
    setTimeout(() => say(words, "copy"), 1500);
  }
}

const addressed = () => (location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : null);

function device() {
  const agent = navigator.userAgent;
  const browser = /Edg\//.test(agent) ? "Edge" : /Firefox\//.test(agent) ? "Firefox" : /Chrome\//.test(agent) ? "Chrome" : "Safari";
  const where = /iPhone|iPad/.test(agent) ? "iOS" : /Android/.test(agent) ? "Android" : /Mac/.test(agent) ? "macOS" : /Windows/.test(agent) ? "Windows" : "Linux";
  return `${browser} on ${where}`;
}

function explain(error) {
  if (error.code === "approval.resolved" && error.by) return `Decided already: ${error.decision} by ${error.by.split(":").at(-1)}.`;
  return [error.message, error.fix].filter(Boolean).join(" ");
}

function drawer(name) {
  document.body.dataset.drawer = document.body.dataset.drawer === name ? "" : name ?? "";
}

const token = arrive();
byId("refused").hidden = token !== "";
window.holdfast = token ? new App(token) : null; // for the curious, and for the tests
