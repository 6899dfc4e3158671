// Where people speak: a new message, or, while an agent works, words that steer it; and the stop.

import { say } from "./element.js";

const ROWS_PX = 200;

export class Composer {
  constructor(nodes, actions) {
    Object.assign(this, nodes, { actions });
    this.active = [];
    this.mode = "send";
    this.agent = "librarian";
    this.drafts = new Map();
    this.session = null;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    this.area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    });
    this.area.addEventListener("input", () => this.typed());
    this.stop.addEventListener("click", () => this.halt());
    this.instead.addEventListener("click", () => this.submit("interrupt"));
    for (const radio of this.agents.querySelectorAll("input")) {
      radio.addEventListener("change", () => { this.agent = radio.value; this.refresh(); });
    }
  }

  /** Show another session, with what was typed there before. */
  show(id) {
    this.drafts.set(this.session, this.area.value);
    this.session = id;
    this.area.value = this.drafts.get(id) ?? "";
    this.typed();
  }

  address(agent) {
    this.agent = agent;
    for (const radio of this.agents.querySelectorAll("input")) radio.checked = radio.value === agent;
    this.refresh();
  }

  /** `active`: root runs that are queued or running; `handoff`: who has taken over, if anybody. */
  update(active, handoff, me) {
    this.active = active;
    this.taken = handoff?.by ?? null;
    this.mode = this.taken !== null ? "operator" : active.length ? "steer" : "send";
    this.refresh(me);
  }

  refresh() {
    const stopping = this.active.length > 0 && this.active.every((run) => run.cancel !== undefined);
    const target = this.active.at(-1)?.agent ?? this.agent;
    const steering = this.mode === "steer" && !stopping;
    this.form.dataset.mode = this.mode;
    this.stop.classList.toggle("away", this.active.length === 0);
    this.stop.disabled = this.active.length === 0;
    say(this.stop.querySelector(".words"), stopping ? "stop now" : "stop");
    this.stop.title = stopping ? "End it at once, whatever the agent does" : "Stop what runs here (s)";
    this.instead.classList.toggle("away", !steering);
    this.instead.disabled = !steering || !this.area.value.trim();
    this.agents.classList.toggle("away", steering || this.mode === "operator");
    say(this.sendButton.querySelector(".words"), steering ? "steer" : "send");
    this.sendButton.disabled = !this.area.value.trim() || (this.mode === "steer" && stopping);
    this.area.placeholder = {
      send: `Ask the ${this.agent} …`, steer: stopping ? "Stopping …" : `Steer the ${target} while it works …`,
      operator: "You have taken over: write as yourself …",
    }[this.mode];
  }

  typed() {
    this.area.style.height = "auto";
    this.area.style.height = `${Math.min(ROWS_PX, this.area.scrollHeight)}px`;
    this.refresh();
    this.actions.typing(this.area.value !== "");
  }

  submit(how = this.mode) {
    const text = this.area.value.trim();
    if (!text || (how === "steer" && this.sendButton.disabled)) return;
    if (how === "steer") this.actions.steer(this.active.at(-1), text);
    else if (how === "interrupt") this.actions.interrupt(this.active.at(-1), text);
    else this.actions.say(text, this.agent);
    this.area.value = "";
    this.typed();
  }

  /** Stop; asked again while it is stopping, without any grace. */
  halt() {
    if (this.active.length) this.actions.stop(this.active);
  }
}
