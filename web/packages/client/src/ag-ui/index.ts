// Owns an agent of AG-UI clients that is a session's: it runs, joins and stops, over the server's AG-UI dialect
// (docs/reference/ag-ui.md). The thread is the session.

import {
  HttpAgent, runHttpRequest, transformHttpEventStream, type HttpAgentConfig, type RunAgentInput,
} from "@ag-ui/client";
import type { Client } from "../client.js";
import { HoldfastError } from "../errors.js";
import { httpRequest, wireErrorOf } from "../http.js";
import { fetchToken } from "../token.js";

type EventStream = ReturnType<HttpAgent["run"]>;

export interface HoldfastAgentConfig extends Omit<HttpAgentConfig, "url" | "fetch"> {
  client: Client;
  /** Who answers. */
  agent: string;
}

/**
 * An `AbstractAgent` over a session: `new HoldfastAgent({ client, agent: "writer", threadId: "s1" })`.
 *
 * `runAgent` sends what is new; `connectAgent` joins what runs, after a cut, a reload or on another device, and appends
 * nothing; `abortRun` cancels the run, and closing the page does not. Tokens come from the client.
 */
export class HoldfastAgent extends HttpAgent {
  private readonly client: Client;
  private readonly agent: string;
  /** The last `abortRun`: settled once the server has it. */
  stopping: Promise<void> = Promise.resolve();

  constructor({ client, agent, ...config }: HoldfastAgentConfig) {
    const fetch: HttpAgent["fetch"] = async (url, init) => {
      const authorization = `Bearer ${await fetchToken(client.http.token)}`;
      return client.http.fetch(url, { ...init, headers: { ...(init.headers as Record<string, string>), authorization } });
    };
    super({ ...config, url: `${client.server}${agentPath(agent)}/run`, fetch });
    this.client = client;
    this.agent = agent;
  }

  protected override connect(input: RunAgentInput): EventStream {
    const url = `${this.client.server}${agentPath(this.agent)}/connect`;
    return transformHttpEventStream(runHttpRequest(() => this.fetch(url, this.requestInit(input))), this.debugLogger);
  }

  /** Cancel what runs in the thread. The stream goes on to the run's own end, so that what was said last is seen. */
  override abortRun(): void {
    this.stopping = this.stop();
    this.stopping.catch(() => {}); // whoever wants to know looks at it
  }

  private async stop(): Promise<void> {
    const path = `${agentPath(this.agent)}/stop/${encodeURIComponent(this.threadId)}`;
    const token = await fetchToken(this.client.http.token);
    await httpRequest(this.client.http, token, path, { method: "POST" }).catch((error: unknown) => {
      throw new HoldfastError(wireErrorOf(error));
    });
  }

  /** Leave the stream; the run goes on. */
  leave(): void {
    super.abortRun();
  }

  override clone(): HoldfastAgent {
    return Object.assign(super.clone() as HoldfastAgent, { client: this.client, agent: this.agent, stopping: Promise.resolve() });
  }
}

const agentPath = (agent: string): string => `/v1/ag-ui/agent/${encodeURIComponent(agent)}`;
