// The line: how the connection stands, what recoveries came to, who is here, and the controls that hurt.

import { button, clock, element, glyph, hueOf, nameOf, place, say } from "./element.js";

const SECONDS = 48;
const BAR_PX = 5;
const RAW_FRAMES = 40;
const NOTICE_MS = 15_000;

/** Events per second, the last three quarters of a minute, as bars. */
export class Rate {
  constructor(node, number) {
    this.node = node;
    this.number = number;
    this.counts = Array(SECONDS).fill(0);
    this.path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    node.append(this.path);
    setInterval(() => this.tick(), 1000);
  }

  add(events) {
    this.counts[SECONDS - 1] += events;
  }

  tick() {
    const most = Math.max(8, ...this.counts);
    const bars = this.counts.map((count, at) => {
      const height = count ? Math.max(1.5, (count / most) * 27) : 0.75;
      return `M${at * BAR_PX + 0.5} 28v-${height.toFixed(1)}h${BAR_PX - 1.5}v${height.toFixed(1)}z`;
    });
    this.path.setAttribute("d", bars.join(""));
    say(this.number, `${this.counts[SECONDS - 1]}/s`);
    this.counts.push(0);
    this.counts.shift();
  }
}

/** Shows the connection's and the session's state, wherever the page says it. */
export class Line {
  constructor(nodes, actions) {
    Object.assign(this, nodes, { actions });
    this.rate = new Rate(nodes.rate, nodes.rateNumber);
    this.frames = [];
    this.raw.addEventListener("toggle", () => this.drawRaw());
    setInterval(() => this.update(), 1000);
  }

  bind(connection, session) {
    Object.assign(this, { connection, session });
    this.drawHere(session?.here ?? []);
    this.drawRecoveries();
    this.frames = [];
    this.drawRaw();
    this.update();
  }

  /** "live", "catching up", "offline", "refused" or "connecting". */
  status() {
    const { connection, session } = this;
    if (connection.status !== "open") return connection.status === "connecting" ? "offline" : connection.status;
    if (session === null) return "live";
    return { live: "live", "catching up": "catching up", offline: "catching up", closed: "closed" }[session.state];
  }

  update() {
    const { connection, session } = this;
    if (!connection) return;
    const status = this.status();
    document.body.dataset.line = status.replace(" ", "-");
    const words = status === "offline" ? this.waitWords() : status === "live" && connection.latencyMs !== null ? `live · ${latency(connection.latencyMs)}` : status;
    for (const node of this.states) say(node, node.dataset.lineState === "short" && status === "live" ? status : words);
    say(this.cursor, session === null ? "–" : `${session.seq} / ${Math.max(session.seq, session.tail)}`);
    this.now.classList.toggle("away", connection.status !== "offline");
  }

  waitWords() {
    const seconds = Math.ceil((this.connection.retryAt - Date.now()) / 1000);
    return seconds > 0 ? `offline · ${seconds} s` : "offline · trying";
  }

  // --- recoveries
  recovered(line) {
    if (line.from !== null) this.tell(line.text, line.exact ? "proof" : "error");
    this.drawRecoveries();
  }

  drawRecoveries() {
    const lines = this.session?.proof.lines ?? [];
    place(this.recoveries, lines.map(({ at, text, exact }) => element("li", { "data-exact": String(exact) }, element("time", {}, clock(at)), element("span", {}, text))));
    this.recoveriesBox.hidden = !lines.length;
  }

  /** One sentence about what just happened. */
  tell(text, kind = "") {
    say(this.notice, text);
    this.notice.dataset.kind = kind;
    clearTimeout(this.fading);
    this.fading = setTimeout(() => say(this.notice, ""), NOTICE_MS);
  }

  // --- people and agents
  drawHere(here) {
    const groups = new Map();
    for (const entry of here) groups.set(entry.actor, [...(groups.get(entry.actor) ?? []), entry]);
    const me = this.connection?.welcome?.principal;
    const rows = [...groups].map(([actor, entries]) => {
      const devices = [...new Set(entries.map((entry) => entry.device).filter(Boolean))].join(", ");
      const typing = entries.some((entry) => entry.doing?.typing);
      const tabs = actor.startsWith("user:") && entries.length > 1 ? `${entries.length} tabs` : "";
      const row = element("li", {}, element("span.avatar", {}, nameOf(actor).slice(0, 1)),
        element("span.who", {}, actor === me ? "you" : nameOf(actor)),
        element("span.where", {}, [typing ? "typing" : "", tabs, actor.startsWith("user:") ? devices : "at work"].filter(Boolean).join(" · ")));
      row.style.setProperty("--hue", hueOf(actor));
      return row;
    });
    place(this.here, rows.length ? rows : [element("li.nobody", {}, "nobody yet")]);
  }

  // --- raw events
  frame(message) {
    this.rate.add(message.events.length);
    this.frames.unshift(...message.events.toReversed());
    this.frames.length = Math.min(this.frames.length, RAW_FRAMES);
    if (this.raw.open) this.drawRaw();
  }

  drawRaw() {
    if (!this.raw.open) return;
    say(this.rawText, this.frames.map((event) => `${event.seq} ${event.type} ${event.run ?? ""} ${JSON.stringify(event.data)}`).join("\n") || "Frames appear here as they arrive.");
  }
}

const latency = (ms) => (ms < 1 ? "< 1 ms" : `${Math.round(ms)} ms`);

/** The controls that hurt, and the other devices. Only an admin's token, on this machine, may hurt processes. */
export class Breaking {
  constructor({ table, others }, { connection, link, session, tell }) {
    Object.assign(this, { table, others, connection, link, session, tell });
    this.info = null;
    this.toggles = new Map();
    this.draw();
  }

  async load() {
    try {
      this.info = await this.call("GET", `/demo/info?session=${encodeURIComponent(this.session() ?? "")}`);
    } catch {
      this.info = null; // not the demo's server, or no admin: what this page itself can do remains
    }
    this.draw();
    this.drawOthers();
  }

  async call(method, path) {
    const headers = { authorization: `Bearer ${this.connection.token}` };
    const response = await fetch(path, { method, headers });
    const answer = await response.json();
    if (!response.ok) throw answer.error;
    return answer;
  }

  async act(path, words) {
    try {
      await this.call("POST", path);
      this.tell(words);
    } catch (error) {
      this.tell(error?.message ?? "The server did not answer.", "error");
    }
    setTimeout(() => this.refresh(), 300);
  }

  async refresh() {
    try {
      this.info = await this.call("GET", "/demo/info");
      for (const name of this.info.agents) this.mark(name, this.info.processes?.[name]);
    } catch { /* the server is away; asked again after the next action or reconnect */ }
  }

  mark(name, state) {
    const toggle = this.toggles.get(name);
    if (toggle === undefined || state === undefined) return;
    const frozen = state === "frozen";
    say(toggle.querySelector(".words"), frozen ? "thaw" : "freeze");
    toggle.querySelector("svg").replaceWith(glyph(frozen ? "sun" : "snow"));
    toggle.dataset.frozen = String(frozen);
  }

  draw() {
    const { connection, info } = this;
    const rows = [["the line",
      button("scissors", "cut", () => this.cut(0), { title: "Drop the socket without a goodbye; it comes back at once" }),
      button("scissors", "cut 10 s", () => this.cut(10_000), { title: "Drop it and stay away for ten seconds" })]];
    if (info !== null) rows[0].push(button("server", "reset", () => this.act(`/demo/cut/${connection.welcome?.connection}`, "The server reset this connection."), { title: "Let the server reset this TCP connection" }));
    for (const name of info?.here ? info.agents : []) {
      const freeze = button("snow", "freeze", () => {
        const frozen = freeze.dataset.frozen === "true";
        this.act(`/demo/${frozen ? "thaw" : "freeze"}/${name}`, frozen ? `The ${name} goes on.` : `The ${name} hangs: SIGSTOP.`);
      }, { title: "SIGSTOP: it hangs without dying" });
      this.toggles.set(name, freeze);
      rows.push([name, button("skull", "kill", () => this.act(`/demo/kill/${name}`, `The ${name} was killed: SIGKILL. It is started again in a moment.`), { title: `kill -9 the ${name}'s process` }), freeze]);
    }
    if (info?.here) rows.push(["server", button("skull", "kill", () => this.act("/demo/kill/server", "The server was killed: SIGKILL. It is started again in a moment."), { title: "kill -9 the server's process" })]);
    place(this.table, rows.map(([name, ...buttons]) => element("div.break-row", { role: "group", "aria-label": name }, element("span.what", {}, name), element("span.buttons", {}, ...buttons))));
    for (const name of info?.agents ?? []) this.mark(name, info.processes?.[name]);
  }

  cut(ms) {
    this.connection.cut(ms);
    this.tell(ms ? "Cut for ten seconds. What is written meanwhile is kept." : "Cut. It comes back by itself.");
  }

  drawOthers() {
    const { info } = this;
    const second = element("a.button", { href: this.link(), target: "_blank", rel: "noopener" }, glyph("tab"), element("span.words", {}, "open a second tab"));
    second.addEventListener("click", () => second.setAttribute("href", this.link()));
    const parts = [second];
    if (info?.share) {
      const image = element("img.qr", { alt: "QR code of the address for another device", src: `data:image/svg+xml,${encodeURIComponent(info.qr)}` });
      parts.push(image, element("p.hint", {}, "Scan it with a phone in this network, or ",
        button("copy", "copy the address", () => navigator.clipboard?.writeText(info.share), { kind: "quiet" })));
    } else if (info !== null && !info.open) {
      parts.push(element("p.hint", {}, "Only this machine can connect. For a phone, start it with ", element("code", {}, "make demo HOST=0.0.0.0"), "."));
    }
    place(this.others, parts);
  }
}
