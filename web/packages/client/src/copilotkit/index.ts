// Owns what CopilotKit's runtime asks a runner: to run, join and stop an agent, all of it where the sessions are, so that
// nothing is stored in the runtime (docs/howto/copilotkit.md). The agents are the runtime's own `HttpAgent`s, of whatever
// version of `@ag-ui/client` it has.

import { Observable, type Subscriber } from "rxjs";

/** What is used of an `HttpAgent` at `…/v1/ag-ui/agent/{agent}/run`. */
export interface RuntimeAgent {
  url: string;
  headers: Record<string, string>;
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  clone(): unknown;
}

export interface HoldfastRunnerConfig {
  /** The runtime's `agents`. */
  agents: Readonly<Record<string, RuntimeAgent>>;
  /** Headers of who asks to stop, beside the agent's own: the runtime does not say who that is. */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
}

/** One AG-UI event, as the versions of `@ag-ui/client` type it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AgUiEvent = any;
type RunInput = { threadId: string; runId?: string; messages?: unknown; state?: unknown };

/** What is done with a clone of an agent. */
interface AgentClient {
  url: string;
  headers: Record<string, string>;
  threadId: string;
  setMessages(messages: unknown): void;
  runAgent(input: unknown, subscriber: { onEvent: (params: { event: AgUiEvent }) => void }): Promise<unknown>;
  detachActiveRun?(): Promise<void>;
}

const MAX_THREADS = 10_000;
/** The AG-UI that CopilotKit's pages read, whatever the runtime's `HttpAgent` speaks. */
const PAGE_VERSION = "0.0.59";

/**
 * A runner for CopilotKit's runtime over sessions: `new CopilotRuntime({ agents, runner: new HoldfastRunner({ agents }) })`.
 *
 * Runs go on when a page leaves and when the runtime restarts; a page that comes back is given the conversation as the
 * session has it; stop cancels the run. The thread is the session.
 */
export class HoldfastRunner {
  private readonly agents: HoldfastRunnerConfig["agents"];
  private readonly headers: NonNullable<HoldfastRunnerConfig["headers"]>;
  /** By thread, the agent that ran there last: a stop does not name it. */
  private readonly lastAgents = new Map<string, string>();

  constructor({ agents, headers = () => ({}) }: HoldfastRunnerConfig) {
    this.agents = agents;
    this.headers = headers;
  }

  /** Run the agent, and follow it to its end. Whoever leaves stops nothing. */
  run({ threadId, agent, input }: { threadId: string; agent: object; input: object }): Observable<AgUiEvent> {
    const running = agent as AgentClient & { agentId?: string };
    if (running.agentId !== undefined) this.remember(threadId, running.agentId);
    running.url = address(running);
    return observeRun(running, input as RunInput);
  }

  /** What the session's conversation is, and what runs in it to its end. Nothing is appended. */
  connect({ threadId, agentId, headers }: { threadId: string; agentId?: string; headers?: Record<string, string> }): Observable<AgUiEvent> {
    const [name, agent] = this.findAgent(agentId);
    this.remember(threadId, name);
    const joining = agent.clone() as AgentClient;
    joining.url = address(agent, "connect");
    joining.headers = { ...agent.headers, ...headers };
    joining.threadId = threadId;
    joining.setMessages([]);
    return observeRun(joining, { threadId });
  }

  /** Whether anything runs in the thread. */
  async isRunning({ threadId }: { threadId: string }): Promise<boolean> {
    const [, agent] = this.findAgent(this.lastAgents.get(threadId));
    const url = new URL(address(agent));
    url.pathname = url.pathname.replace(/\/v1\/ag-ui\/.*$/, `/v1/sessions/${encodeURIComponent(threadId)}/runs`);
    const body = await this.request(agent, url.href, { method: "GET" });
    return (body as { runs: { status: string }[] }).runs.some(({ status }) => status === "queued" || status === "running");
  }

  /** Cancel what the thread's agent runs; whether anything did. Rejects when the server refuses. */
  async stop({ threadId, runId }: { threadId: string; runId?: string }): Promise<boolean> {
    const name = this.lastAgents.get(threadId);
    const agents = name === undefined ? Object.values(this.agents) : [this.findAgent(name)[1]];
    const body = JSON.stringify(runId === undefined ? {} : { runId });
    const stopped = await Promise.all(agents.map(async (agent) => {
      const url = address(agent, `stop/${encodeURIComponent(threadId)}`);
      return (await this.request(agent, url, { method: "POST", body })) as { stopped: boolean };
    }));
    return stopped.some((answer) => answer.stopped);
  }

  private async request(agent: RuntimeAgent, url: string, init: RequestInit): Promise<unknown> {
    const headers = { "content-type": "application/json", ...agent.headers, ...await this.headers() };
    const response = await (agent.fetch ?? fetch)(url, { ...init, headers });
    if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
    return response.json();
  }

  private findAgent(name: string | undefined): [string, RuntimeAgent] {
    const found = Object.entries(this.agents).find(([id]) => name === undefined || id === name);
    if (found === undefined) throw new Error(`the runner was given no agent ${String(name)}`);
    return found;
  }

  private remember(threadId: string, name: string): void {
    this.lastAgents.delete(threadId);
    this.lastAgents.set(threadId, name);
    const [oldest] = this.lastAgents.keys();
    if (this.lastAgents.size > MAX_THREADS && oldest !== undefined) this.lastAgents.delete(oldest);
  }
}

/** The address of one of an agent's routes. */
function address({ url }: { url: string }, route = "run"): string {
  const target = new URL(url);
  target.pathname = target.pathname.replace(/[^/]*$/, route);
  if (!target.searchParams.has("version")) target.searchParams.set("version", PAGE_VERSION);
  return target.href;
}

/** An agent's run, as the runtime sends it to the page. Whoever no longer looks leaves the stream, not the run. */
function observeRun(agent: AgentClient, input: RunInput): Observable<AgUiEvent> {
  return new Observable((page: Subscriber<AgUiEvent>) => {
    agent.runAgent(input, { onEvent: ({ event }) => page.next(event) }).then(
      () => page.complete(),
      (error: unknown) => {
        const { message, payload } = error as { message: string; payload?: { error?: { code?: string } } };
        const code = payload?.error?.code;
        page.next({ type: "RUN_ERROR", message, ...(code === undefined ? {} : { code }) });
        page.complete();
      },
    );
    return () => void agent.detachActiveRun?.();
  });
}
