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
      load: () => Promise<{ messages: never[]; unstable_resume: boolean }>;
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
      history: {
        load: async () => ({ messages: [], unstable_resume: await begun(agent) }), // the join tells what was said
        append: async () => {},
      },
    },
  }), [agent]);
}

/** Whether there is anything in the session: the runtime shows an empty answer where it joins nothing. */
async function begun(agent: AgentOfServer): Promise<boolean> {
  const response = await request(agent, /\/v1\/ag-ui\/.*$/, `/v1/sessions/${encodeURIComponent(agent.threadId)}`);
  if (response.status === 404) return false;
  const { view } = await sound(response).then((fine) => fine.json()) as { view: { items: unknown[] } };
  return view.items.length > 0;
}

async function stop(agent: AgentOfServer): Promise<void> {
  await sound(await request(agent, /[^/]*$/, `stop/${encodeURIComponent(agent.threadId)}`, { method: "POST" }));
}

/** Ask the server of an agent for another of its addresses. */
function request(agent: AgentOfServer, part: RegExp, address: string, init: RequestInit = {}): Promise<Response> {
  const whole = new URL(agent.url, globalThis.location?.href);
  whole.pathname = whole.pathname.replace(part, address);
  const given = { ...init, headers: { ...agent.headers } };
  return agent.fetch ? agent.fetch(whole.href, given) : fetch(whole.href, given);
}

async function sound(response: Response): Promise<Response> {
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  return response;
}
