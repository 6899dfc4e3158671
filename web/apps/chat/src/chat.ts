// Owns what people do on the page: which session is in view, and every action on it. Components draw it and call it.

import {
  connect, type Client, type HoldfastError, newKey, type Recovery, type RunState, type Session, type ApprovalItem, type Decision,
  type MessageItem,
} from "holdfast-ai";

import { GOVERNANCE, type RadiusFacts, type RequestError, requestJson } from "holdfast-look";

import { deviceName, sessionInAddress } from "./address.js";

const TITLE_CHARS = 60;
const NOTICE_MS = 15_000;
const RECOVERIES = 5;

/** One sentence about what just happened. */
export interface Notice {
  text: string;
  kind: "" | "proof" | "error";
}

/** What became of asking for more money. */
export interface MoreAsked {
  state: "sending" | "asked" | "refused";
  /** Why it was refused. */
  text: string;
}

/** A recovery as the page shows it: computed by the client, worded here. */
export interface RecoveryNotice {
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
  recoveries: RecoveryNotice[] = [];
  /** To whom the next message goes. */
  agent = "librarian";
  /** What became of asking for more money, by the activity that says that it is spent. */
  readonly moreAsked = new Map<string, MoreAsked>();
  #typing = false;
  #noticeTimer = 0;
  #lastRecovery: Recovery | null = null;

  constructor(token: string) {
    super();
    this.token = token;
    // a connection of its own: others see how many tabs there are, and a tab can be cut without its neighbours
    this.client = connect("", { token, surface: "web", device: deviceName(), tabs: false });
    this.client.on("status", () => this.#showRecovery());
    addEventListener("hashchange", () => sessionInAddress() !== (this.session?.id ?? null) && this.open(sessionInAddress()));
    document.addEventListener("visibilitychange", () => this.markRead());
    this.open(sessionInAddress());
  }

  /** Who the server says this is. */
  get me(): string {
    return this.client.principal || "user:you";
  }

  /** Something the page shows has changed. */
  notifyChange(): void {
    this.dispatchEvent(new Event("change"));
  }

  showNotice(text: string, kind: Notice["kind"] = ""): void {
    this.notice = { text, kind };
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = window.setTimeout(() => this.showNotice(""), NOTICE_MS);
    this.notifyChange();
  }

  #showRecovery(): void {
    const recovery = this.session?.recovery;
    if (!recovery || recovery === this.#lastRecovery) return;
    this.#lastRecovery = recovery;
    const notice = { at: recovery.at, text: describeRecovery(recovery), exact: recovery.gaps === 0 && recovery.repeats === 0 };
    this.recoveries = [notice, ...this.recoveries].slice(0, RECOVERIES);
    if (recovery.from !== null) this.showNotice(notice.text, notice.exact ? "proof" : "error");
    else this.notifyChange();
  }

  // --- which session
  open(id: string | null): void {
    try {
      this.session = id === null ? null : this.client.session(id);
    } catch (error) {
      this.showNotice(describeError(error), "error");
      return;
    }
    this.recoveries = [];
    this.notice = { text: "", kind: "" };
    if (sessionInAddress() !== id) history.pushState(null, "", id === null ? location.pathname : `#/${id}`);
    this.notifyChange();
  }

  /** The address of what is in view, for a second tab. */
  linkToHere(): string {
    const sessionPart = this.session === null ? "" : `&s=${encodeURIComponent(this.session.id)}`;
    return `${location.origin}${location.pathname}#t=${this.token}${sessionPart}`;
  }

  /** The person has seen what is there. */
  markRead(): void {
    if (!document.hidden && this.session?.status === "live") this.session.read().catch(() => {});
  }

  // --- actions: a refusal becomes a notice
  async #perform(work: (session: Session) => Promise<unknown>): Promise<void> {
    if (this.session === null) return;
    try {
      await work(this.session);
    } catch (error) {
      this.showNotice(describeError(error), "error");
    }
  }

  send(text: string, agent = this.agent): void {
    if (this.session === null) {
      const id = `s-${newKey().slice(0, 20)}`;
      const title = shortened(text);
      const session = this.client.session(id);
      session.create({ title, agent }).catch((error: unknown) => this.showNotice(describeError(error), "error"));
      this.open(id);
    }
    void this.#perform((session) => session.send(text, { agent }));
  }

  steer(run: RunState, text: string): void {
    void this.#perform((session) => session.steer(run.id, text));
  }

  interrupt(run: RunState, text: string): void {
    void this.#perform((session) => session.interrupt(text, { run: run.id }));
  }

  /** Stop runs; asked again while they are stopping, without any grace. */
  stop(runs: readonly RunState[]): void {
    for (const run of runs) void this.#perform((session) => session.cancel({ run: run.id, force: run.cancel !== undefined }));
  }

  resolve(item: ApprovalItem, decision: Decision): void {
    const { id, hash } = item;
    void this.#perform((session) => (decision === "approved" ? session.approve(id, { hash }) : session.deny(id, { hash })));
  }

  /** Asks what the workflow could do wrong whose run wants an approval; null where the server knows no workflows. */
  radiusOf(item: ApprovalItem): (() => Promise<RadiusFacts>) | null {
    const { session, client, token } = this;
    if (session === null || !client.connection.welcome?.extensions?.includes(GOVERNANCE)) return null;
    const run = item.run === undefined ? "" : `?run=${encodeURIComponent(item.run)}`;
    return () => requestJson<RadiusFacts>(`/v1/x/governance/workflows/radius/${encodeURIComponent(session.id)}${run}`, token);
  }

  edit(item: MessageItem, text: string): void {
    void this.#perform((session) => session.send(text, { edits: item.id, agent: item.agent ?? "" }));
  }

  regenerate(run: RunState): void {
    void this.#perform((session) => session.regenerate(run.input!, { agent: run.agent }));
  }

  select(what: { input?: string; run?: string }): void {
    void this.#perform((session) => session.select(what));
  }

  /** Take over from the agents, or give back. */
  toggleHandoff(): void {
    void this.#perform((session) => (session.view.handoff ? session.giveBack() : session.take()));
  }

  /** Ask whoever decides for a budget to raise it. */
  async askForMore(activity: string, budget: string, run: RunState): Promise<void> {
    if (this.session === null || this.moreAsked.get(activity)?.state === "sending") return;
    const note = (request: MoreAsked) => { this.moreAsked.set(activity, request); this.notifyChange(); };
    const input = this.session.view.find("message", run.input ?? "");
    const why = `The answer to “${shortened(input?.text ?? "")}” was not done.`;
    note({ state: "sending", text: "" });
    try {
      await requestJson("/v1/x/governance/budgets/requests", this.token, "POST", { budget, why, session: this.session.id, run: run.id });
      note({ state: "asked", text: "" });
    } catch (error) {
      const { message, fix } = error as RequestError;
      note({ state: "refused", text: [message.replace(/\.?$/, "."), fix].filter(Boolean).join(" ") });
    }
  }

  setTyping(typing: boolean): void {
    if (typing === this.#typing || this.session?.status !== "live") return;
    this.#typing = typing;
    this.session.presence(typing ? { typing } : {}).catch(() => {});
  }
}

const shortened = (text: string): string => (text.length > TITLE_CHARS ? `${text.slice(0, TITLE_CHARS).replace(/\s+\S*$/, "")} …` : text);

function describeError(error: unknown): string {
  const { code, message, fix, facts } = error as HoldfastError;
  const { by, decision } = (facts ?? {}) as { by?: string; decision?: string };
  if (code === "approval.resolved" && by?.startsWith("system:")) return "It is not asked any more: the run ended, or the deadline passed.";
  if (code === "approval.resolved" && by) return `Decided already: ${decision} by ${by.split(":").at(-1)}.`;
  return [message, fix].filter(Boolean).join(" ");
}

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? "" : "s"}`;

function describeRecovery({ from, to, missed, received, gaps, repeats, snapshot }: Recovery): string {
  const counts = `${plural(gaps, "gap")} · ${plural(repeats, "repeat")}`;
  if (from === null) return `joined at ${to} by snapshot · ${counts}`;
  if (snapshot !== null) return `left at ${from}, back at ${to} by snapshot (${snapshot}) · ${counts}`;
  return `resumed at ${from} · ${missed} missed, ${received} received · ${counts}`;
}
