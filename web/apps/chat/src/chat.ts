// Owns what people do on the page: which session is in view, and every action on it. Components draw it and call it.

import {
  connect, type Client, type HoldfastError, newKey, type Recovery, type RunState, type Session, type ApprovalItem, type Decision,
  type MessageItem,
} from "holdfast-ai";

import { addressed, device } from "./address.js";

const TITLE_CHARS = 60;
const NOTICE_MS = 15_000;
const RECOVERIES = 5;

/** One sentence about what just happened. */
export interface Notice {
  text: string;
  kind: "" | "proof" | "error";
}

/** A recovery as the page tells it: computed by the client, worded here. */
export interface Told {
  at: number;
  text: string;
  exact: boolean;
}

export class Chat extends EventTarget {
  readonly client: Client;
  readonly token: string;
  /** The session in view; null for a new conversation. */
  session: Session | null = null;
  notice: Notice = { text: "", kind: "" };
  /** Newest first, of the session in view. */
  recoveries: Told[] = [];
  /** To whom the next message goes. */
  agent = "librarian";
  #typing = false;
  #fading = 0;
  #counted: Recovery | null = null;

  constructor(token: string) {
    super();
    this.token = token;
    // a connection of its own: others see how many tabs there are, and a tab can be cut without its neighbours
    this.client = connect("", { token, surface: "web", device: device(), tabs: false });
    this.client.on("status", () => this.#recovered());
    addEventListener("hashchange", () => addressed() !== (this.session?.id ?? null) && this.open(addressed()));
    document.addEventListener("visibilitychange", () => this.markRead());
    this.open(addressed());
  }

  /** Who the server says this is. */
  get me(): string {
    return this.client.principal || "user:you";
  }

  /** Something the page shows has changed. */
  changed(): void {
    this.dispatchEvent(new Event("change"));
  }

  tell(text: string, kind: Notice["kind"] = ""): void {
    this.notice = { text, kind };
    clearTimeout(this.#fading);
    this.#fading = window.setTimeout(() => this.tell(""), NOTICE_MS);
    this.changed();
  }

  #recovered(): void {
    const recovery = this.session?.recovery;
    if (!recovery || recovery === this.#counted) return;
    this.#counted = recovery;
    const told = { at: recovery.at, text: describe(recovery), exact: recovery.gaps === 0 && recovery.repeats === 0 };
    this.recoveries = [told, ...this.recoveries].slice(0, RECOVERIES);
    if (recovery.from !== null) this.tell(told.text, told.exact ? "proof" : "error");
    else this.changed();
  }

  // --- which session
  open(id: string | null): void {
    try {
      this.session = id === null ? null : this.client.session(id);
    } catch (error) {
      this.tell(explain(error), "error");
      return;
    }
    this.recoveries = [];
    this.notice = { text: "", kind: "" };
    if (addressed() !== id) history.pushState(null, "", id === null ? location.pathname : `#/${id}`);
    this.changed();
  }

  /** The address of what is in view, for a second tab. */
  linkToHere(): string {
    const here = this.session === null ? "" : `&s=${encodeURIComponent(this.session.id)}`;
    return `${location.origin}${location.pathname}#t=${this.token}${here}`;
  }

  /** The person has seen what is there. */
  markRead(): void {
    if (!document.hidden && this.session?.status === "live") this.session.read().catch(() => {});
  }

  // --- actions: what is refused is said
  async #act(work: (session: Session) => Promise<unknown>): Promise<void> {
    if (this.session === null) return;
    try {
      await work(this.session);
    } catch (error) {
      this.tell(explain(error), "error");
    }
  }

  say(text: string, agent = this.agent): void {
    if (this.session === null) {
      const id = `s-${newKey().slice(0, 20)}`;
      const title = text.length > TITLE_CHARS ? `${text.slice(0, TITLE_CHARS).replace(/\s+\S*$/, "")} …` : text;
      const session = this.client.session(id);
      session.create({ title, agent }).catch((error: unknown) => this.tell(explain(error), "error"));
      this.open(id);
    }
    void this.#act((session) => session.send(text, { agent }));
  }

  steer(run: RunState, text: string): void {
    void this.#act((session) => session.steer(run.id, text));
  }

  interrupt(run: RunState, text: string): void {
    void this.#act((session) => session.interrupt(text, { run: run.id }));
  }

  /** Stop runs; asked again while they are stopping, without any grace. */
  stop(runs: readonly RunState[]): void {
    for (const run of runs) void this.#act((session) => session.cancel({ run: run.id, force: run.cancel !== undefined }));
  }

  resolve(item: ApprovalItem, decision: Decision): void {
    const { id, hash } = item;
    void this.#act((session) => (decision === "approved" ? session.approve(id, { hash }) : session.deny(id, { hash })));
  }

  edit(item: MessageItem, text: string): void {
    void this.#act((session) => session.send(text, { edits: item.id, agent: item.agent ?? "" }));
  }

  regenerate(run: RunState): void {
    void this.#act((session) => session.regenerate(run.input!, { agent: run.agent }));
  }

  select(what: { input?: string; run?: string }): void {
    void this.#act((session) => session.select(what));
  }

  /** Take over from the agents, or give back. */
  hand(): void {
    void this.#act((session) => (session.view.handoff ? session.giveBack() : session.take()));
  }

  typing(typing: boolean): void {
    if (typing === this.#typing || this.session?.status !== "live") return;
    this.#typing = typing;
    this.session.presence(typing ? { typing } : {}).catch(() => {});
  }
}

function explain(error: unknown): string {
  const { code, message, fix, facts } = error as HoldfastError;
  const { by, decision } = (facts ?? {}) as { by?: string; decision?: string };
  if (code === "approval.resolved" && by?.startsWith("system:")) return "It is not asked any more: the run ended, or the deadline passed.";
  if (code === "approval.resolved" && by) return `Decided already: ${decision} by ${by.split(":").at(-1)}.`;
  return [message, fix].filter(Boolean).join(" ");
}

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? "" : "s"}`;

function describe({ from, to, missed, received, gaps, repeats, snapshot }: Recovery): string {
  const counted = `${plural(gaps, "gap")} · ${plural(repeats, "repeat")}`;
  if (from === null) return `joined at ${to} by snapshot · ${counted}`;
  if (snapshot !== null) return `left at ${from}, back at ${to} by snapshot (${snapshot}) · ${counted}`;
  return `resumed at ${from} · ${missed} missed, ${received} received · ${counted}`;
}
