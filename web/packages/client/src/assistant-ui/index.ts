// Owns what assistant-ui's AG-UI runtime needs beside an `HttpAgent` of the server: its Cancel stops the run, and a page that
// comes back shows the session (docs/howto/assistant-ui.md). Works with the `HttpAgent` of every version of `@ag-ui/client`.

import { useLayoutEffect, useMemo, useRef } from "react";

/** What is used of an `HttpAgent` at `…/v1/ag-ui/agent/{agent}/run`. */
export interface AgentOfServer {
  url: string;
  threadId: string;
  headers: Record<string, string>;
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** Options of `useAgUiRuntime`. */
export interface SessionOptions {
  /** Cancels what the agent runs in the thread. Rejects when the server refuses. */
  onCancel: () => Promise<void>;
  adapters: {
    /** The session is the history: it is asked for it, and joined, when the page opens; nothing is kept beside it. */
    history: {
      load: () => Promise<{ messages: never[]; unstable_resume: true }>;
      append: () => Promise<void>;
    };
  };
}

/**
 * What assistant-ui's AG-UI runtime is to be given so that it works with a session:
 * `useAgUiRuntime({ agent, ...useAgentSession(agent) })`.
 *
 * The runtime calls `onCancel` also when its component goes away. That stops nothing: only a person's Cancel does.
 */
export function useAgentSession(agent: AgentOfServer): SessionOptions {
  const left = useRef(false);
  useLayoutEffect(() => { // its cleanup comes before that of the runtime, which is an effect
    left.current = false;
    return () => { left.current = true; };
  }, []);
  return useMemo(() => ({
    onCancel: async () => { if (!left.current) await stop(agent); },
    adapters: {
      history: { load: async () => ({ messages: [], unstable_resume: true }), append: async () => {} },
    },
  }), [agent]);
}

async function stop({ url, threadId, headers, fetch: ask = fetch }: AgentOfServer): Promise<void> {
  const whole = new URL(url, globalThis.location?.href);
  whole.pathname = whole.pathname.replace(/[^/]*$/, `stop/${encodeURIComponent(threadId)}`);
  const response = await ask(whole.href, { method: "POST", headers });
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
}
