// Owns what the pages of the console share: one client, requests to the operators' routes, and the last notice.

import { claimsOf, GOVERNANCE, RequestError, requestJson, subjectOf } from "holdfast-look";
import { connect, type Client } from "holdfast-ai";
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

const NOTICE_MS = 10_000;

/** An open connection, as `GET /v1/connections` returns it. */
export interface ConnectionRow {
  connection: string;
  actor: string;
  surface: string;
  device: string;
  paused: boolean;
  sessions: string[];
  /** By session, of those that one may read. */
  titles: Record<string, string>;
  serves: string[];
  runs: { session: string; run: string }[];
}

/** A run that has not ended, as `GET /v1/runs` returns it. */
export interface LiveRun {
  session: string;
  title: string;
  run: string;
  agent: string;
  status: "queued" | "running" | "waiting";
  parent: string | null;
  name: string | null;
  by: string;
  attempt: number;
  attempts: number;
  losses: number;
  queued_ms: number;
  worker: string | null;
  stopping: boolean;
  lease_s: number;
  lease_left_s: number | null;
}

/** Counters, as `GET /v1/stats` returns them. */
export interface Stats {
  now_ms: number;
  stats: Record<string, number>;
  commit: { bounds_s: (number | null)[]; counts: number[]; total_s: number };
}

export class Console extends EventTarget {
  readonly client: Client;
  #token: string;
  notice = { text: "", kind: "" };
  #noticeTimer = 0;

  /** `renew` gives another token before the first expires; a token of the address is not renewed. */
  constructor(token: string, readonly renew: (() => Promise<string>) | null = null) {
    super();
    this.#token = token;
    const source = renew === null ? { token } : { getToken: async () => (this.#token = await renew()) };
    this.client = connect("", { ...source, surface: "console", tabs: false });
  }

  /** Who this is, as it is shown; "" where the token does not say. */
  get actor(): string {
    return subjectOf(this.#token);
  }

  /** Whether the server has the governance half: its ledger, budgets and plan. */
  get governed(): boolean {
    return this.client.connection.welcome?.extensions?.includes(GOVERNANCE) ?? false;
  }

  /**
   * Whether the token grants a right over all sessions, or over some. It says what is offered and no more: what is done is
   * for the server to allow. A token that cannot be read here may grant anything.
   */
  may(right: string, where: "all" | "some" = "all"): boolean {
    const granted = claimsOf(this.#token)["caps"] as Record<string, string[]> | undefined;
    if (granted === undefined) return true;
    return where === "all" ? granted["*"]?.includes(right) ?? false : Object.values(granted).some((rights) => rights.includes(right));
  }

  /** Ask one of the operators' routes. Rejects with `RequestError`. */
  request<T>(path: string, method = "GET", json?: unknown): Promise<T> {
    return requestJson<T>(`../v1/${path}`, this.#token, method, json);
  }

  /** Ask for a file, and let the browser save it. Rejects with `RequestError`. */
  async download(path: string, name: string): Promise<void> {
    const response = await fetch(`../v1/${path}`, { headers: { authorization: `Bearer ${this.#token}` } }).catch(() => null);
    if (response === null) throw new RequestError("The server did not answer.", "", true);
    if (!response.ok) {
      const body = (await response.json().catch(() => null)) as { error?: { message: string; fix?: string } } | null;
      throw new RequestError(body?.error?.message ?? `The server could not answer: HTTP ${response.status}.`, body?.error?.fix);
    }
    saveFile(await response.blob(), name);
  }

  /** Do something, and show how it went. */
  async perform(work: () => Promise<unknown>, notice: string): Promise<void> {
    try {
      await work();
      this.showNotice(notice);
    } catch (error) {
      const { message, fix } = error as { message: string; fix?: string };
      this.showNotice([message, fix].filter(Boolean).join(" "), "error");
    }
  }

  showNotice(text: string, kind: "" | "error" = ""): void {
    this.notice = { text, kind };
    clearTimeout(this.#noticeTimer);
    if (text) this.#noticeTimer = window.setTimeout(() => this.showNotice(""), NOTICE_MS);
    this.dispatchEvent(new Event("change"));
  }
}

/** Let the browser save a file. */
export function saveFile(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), NOTICE_MS);
}

export const ConsoleContext = createContext<Console | null>(null);

/** The console of this page. */
export function useConsole(): Console {
  const found = useContext(ConsoleContext);
  if (found === null) throw new Error("outside of the app");
  return found;
}

/** What a route returns, polled; the error where it does not answer. "" asks nothing. */
export function usePolled<T>(path: string, everyMs: number): { data: T | null; error: RequestError | null; refresh: () => void } {
  const operator = useConsole();
  const [state, setState] = useState<{ data: T | null; error: RequestError | null }>({ data: null, error: null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let closed = false;
    const poll = async () => {
      if (document.hidden || !path) return;
      try {
        const data = await operator.request<T>(path);
        if (!closed) setState({ data, error: null });
      } catch (error) {
        if (!closed) setState(({ data }) => ({ data, error: error as RequestError }));
      }
    };
    void poll();
    const timer = setInterval(() => void poll(), everyMs);
    return () => {
      closed = true;
      clearInterval(timer);
    };
  }, [operator, path, everyMs, round]);
  return { ...state, refresh: () => setRound((before) => before + 1) };
}
