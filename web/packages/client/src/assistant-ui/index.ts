// Owns what assistant-ui's AG-UI runtime needs beside an `HttpAgent` of the server: its Cancel stops the run, and a page that
// comes back shows the session (docs/howto/assistant-ui.md). Works with the `HttpAgent` of every version of `@ag-ui/client`.

import { useLayoutEffect, useMemo, useRef } from "react";

/** What is used of an `HttpAgent` at `…/v1/ag-ui/agent/{agent}/run`. */
export interface HttpAgentLike {
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
    /** The session is the history: it is read and joined when the page opens; nothing is stored beside it. */
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
export function useAgentSession(agent: HttpAgentLike): SessionOptions {
  const unmounted = useRef(false);
  useLayoutEffect(() => { // its cleanup comes before that of the runtime, which is an effect
    unmounted.current = false;
    return () => { unmounted.current = true; };
  }, []);
  return useMemo(() => ({
    onCancel: async () => { if (!unmounted.current) await stop(agent); },
    adapters: {
      history: {
        load: async () => ({ messages: [], unstable_resume: await hasItems(agent) }), // the join streams the history
        append: async () => {},
      },
    },
  }), [agent]);
}

/** Whether there is anything in the session: the runtime shows an empty answer where it joins nothing. */
async function hasItems(agent: HttpAgentLike): Promise<boolean> {
  const response = await request(agent, /\/v1\/ag-ui\/.*$/, `/v1/sessions/${encodeURIComponent(agent.threadId)}`);
  if (response.status === 404) return false;
  const { view } = await requireOk(response).then((ok) => ok.json()) as { view: { items: unknown[] } };
  return view.items.length > 0;
}

async function stop(agent: HttpAgentLike): Promise<void> {
  await requireOk(await request(agent, /[^/]*$/, `stop/${encodeURIComponent(agent.threadId)}`, { method: "POST" }));
}

/** Ask the server of an agent for another of its addresses. */
function request(agent: HttpAgentLike, part: RegExp, address: string, init: RequestInit = {}): Promise<Response> {
  const target = new URL(agent.url, globalThis.location?.href);
  target.pathname = target.pathname.replace(part, address);
  const options = { ...init, headers: { ...agent.headers } };
  return agent.fetch ? agent.fetch(target.href, options) : fetch(target.href, options);
}

async function requireOk(response: Response): Promise<Response> {
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  return response;
}
