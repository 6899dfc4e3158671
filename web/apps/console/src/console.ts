// Owns what the pages of the console share: one client, requests to the operators' routes, and what was said last.

import { ask, type Unanswered } from "holdfast-look";
import { connect, type Client } from "holdfast-ai";
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

const NOTICE_MS = 10_000;

/** An open connection, as `GET /v1/connections` tells it. */
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

/** A run that has not ended, as `GET /v1/runs` tells it. */
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

/** Counters, as `GET /v1/stats` tells them. */
export interface Stats {
  now_ms: number;
  stats: Record<string, number>;
  commit: { bounds_s: (number | null)[]; counts: number[]; total_s: number };
}

export class Console extends EventTarget {
  readonly client: Client;
  readonly #token: string;
  notice = { text: "", kind: "" };
  #fading = 0;

  constructor(token: string) {
    super();
    this.#token = token;
    this.client = connect("", { token, surface: "console", tabs: false });
  }

  /** Ask one of the operators' routes. Rejects with `Unanswered`. */
  ask<T>(path: string, method = "GET"): Promise<T> {
    return ask<T>(`../v1/${path}`, this.#token, method);
  }

  /** Do something, and say how it went. */
  async act(work: () => Promise<unknown>, done: string): Promise<void> {
    try {
      await work();
      this.tell(done);
    } catch (error) {
      const { message, fix } = error as { message: string; fix?: string };
      this.tell([message, fix].filter(Boolean).join(" "), "error");
    }
  }

  tell(text: string, kind: "" | "error" = ""): void {
    this.notice = { text, kind };
    clearTimeout(this.#fading);
    if (text) this.#fading = window.setTimeout(() => this.tell(""), NOTICE_MS);
    this.dispatchEvent(new Event("change"));
  }
}

export const ConsoleContext = createContext<Console | null>(null);

/** The console of this page. */
export function useConsole(): Console {
  const found = useContext(ConsoleContext);
  if (found === null) throw new Error("outside of the app");
  return found;
}

/** What a route says, asked again and again; the error where it does not answer. */
export function usePolled<T>(path: string, everyMs: number): { told: T | null; error: Unanswered | null; again: () => void } {
  const operator = useConsole();
  const [state, setState] = useState<{ told: T | null; error: Unanswered | null }>({ told: null, error: null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let over = false;
    const ask = async () => {
      if (document.hidden) return;
      try {
        const told = await operator.ask<T>(path);
        if (!over) setState({ told, error: null });
      } catch (error) {
        if (!over) setState(({ told }) => ({ told, error: error as Unanswered }));
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), everyMs);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [operator, path, everyMs, round]);
  return { ...state, again: () => setRound((before) => before + 1) };
}
