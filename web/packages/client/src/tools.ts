// Owns tools that run in this page: an agent calls one, exactly one tab of all takes the call, and answers it (CTL-6).

import { putBlob } from "./blobs.js";
import type { Client } from "./client.js";
import { HoldfastError } from "./errors.js";
import { newKey, type StorageLike } from "./outbox.js";
import type { ApprovalItem, Decision } from "./protocol.js";
import type { Session } from "./session.js";
import { pageStorage } from "./store.js";

const CLAIM = "browser.claim";
const RESULT = "browser.result";
const NOTE_CHARS = 200; // what an approval's note holds; a longer result is a blob
const MAX_CLAIMS = 64;
const HIDDEN_MS = 1_000; // the head start of tabs that somebody looks at
const RETRY_MS = 1_000;

/** A call, to whoever runs it. */
export interface ToolCall {
  /** The id of the tool call: the same when it is offered again. */
  id: string;
  /** Fires when the answer is not wanted any more: its time is over, or the run was stopped. */
  signal: AbortSignal;
}

/** Runs a tool: gets the call's arguments, which a model wrote: check them. Gives a result that is JSON; what it throws is reported to the agent. */
export type ToolFunction = (args: any, call: ToolCall) => unknown;

/** A tool, or one that may begin again: then a page that was reloaded in the middle runs it anew. */
export type Tool = ToolFunction | { run: ToolFunction; idempotent: boolean };
export type Tools = Record<string, Tool>;

export interface ServeToolsOptions {
  /** Where this tab remembers what it took: `sessionStorage`; null for nowhere. */
  storage?: StorageLike | null;
  /** Keeps a duplicated tab from running what the other runs: `navigator.locks`, where there are any. */
  locks?: Pick<LockManager, "request"> | undefined;
  /** Called when a call could not be taken or answered, such as `auth.denied`; the console, unless given. */
  onError?: (error: HoldfastError) => void;
}

/** What an approval is about when it is only a step of a call to a browser's tool: the tool's name; otherwise null. */
export const browserToolOf = ({ tool, args }: ApprovalItem): string | null =>
  tool === CLAIM || tool === RESULT ? String(args["name"]) : null;

/** The claims of a tab: taken, or begun. */
type Claims = Record<string, "taken" | "begun">;

/** A result as JSON. The tool has acted: what is no JSON is described. */
function toJson(value: unknown): string {
  try {
    return JSON.stringify(value, (_, each) => (typeof each === "bigint" ? String(each) : each)) ?? "null";
  } catch (error) {
    return JSON.stringify(`a result that cannot be shown: ${(error as Error).message}`);
  }
}

/** Half a surrogate pair, which a cut or a file name may leave, is no text: it becomes U+FFFD. */
const wellFormed = (text: string): string =>
  text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");

/** Claims whose tools run in this page now, whoever serves them. */
const runningClaims = new WeakMap<Client, Set<string>>();

/**
 * Have this page run tools of a session's agents (`run.browser_tool` in Python), until the returned function is called;
 * a tool that runs then goes on and is answered. Needs `approve` on the session, and `append` for results over 200
 * characters.
 */
export function serveTools(
  client: Client, session: Session, tools: Tools | (() => Tools), options: ServeToolsOptions = {},
): () => void {
  const server = new ToolServer(client, session, typeof tools === "function" ? tools : () => tools, options);
  const end = session.follow(() => server.update());
  server.update();
  return () => {
    server.ended = true;
    end();
  };
}

class ToolServer {
  ended = false;
  readonly #client: Client;
  readonly #session: Session;
  readonly #tools: () => Tools;
  readonly #storage: StorageLike | null;
  readonly #name: string;
  readonly #locks: ServeToolsOptions["locks"];
  readonly #onError: (error: HoldfastError) => void;
  readonly #seen = new Set<string>();
  readonly #aborts = new Map<string, AbortController>();
  readonly #runningClaims: Set<string>;
  #claims: Claims = {};

  constructor(client: Client, session: Session, tools: () => Tools, options: ServeToolsOptions) {
    this.#client = client;
    this.#session = session;
    this.#tools = tools;
    this.#storage = options.storage === undefined ? pageStorage() : options.storage;
    this.#name = `holdfast.tools ${client.server} ${session.id}`;
    this.#locks = "locks" in options ? options.locks : globalThis.navigator?.locks;
    this.#onError = options.onError ?? ((error) => console.error(error));
    this.#runningClaims = runningClaims.get(client) ?? new Set();
    runningClaims.set(client, this.#runningClaims);
    try {
      this.#claims = JSON.parse(this.#storage?.getItem(this.#name) ?? "{}");
    } catch {} // nothing can be read: the calls are offered again in time
  }

  /** Claim what can be claimed, run what was, and stop what nobody waits for. */
  update(): void {
    if (this.#session.status !== "live") return;
    for (const item of this.#approvals()) {
      if (item.status !== "pending") this.#aborts.get(item.id)?.abort();
      else if (!this.#seen.has(item.id) && !this.ended && this.#isForUs(item)) this.#handle(item);
    }
  }

  #approvals(): ApprovalItem[] {
    return this.#session.view.items.filter((item): item is ApprovalItem => item.kind === "approval");
  }

  #isForUs(item: ApprovalItem): boolean {
    const name = browserToolOf(item);
    const person = item.args["person"] ?? this.#client.principal;
    return name !== null && Object.hasOwn(this.#tools(), name) && person === this.#client.principal;
  }

  #handle(item: ApprovalItem): void {
    this.#seen.add(item.id);
    const claim = String(item.args["claim"]);
    if (item.tool === CLAIM) void this.#claim(item);
    else if (Object.hasOwn(this.#claims, claim) && !this.#runningClaims.has(claim)) void this.#runUnderLock(item, claim);
  }

  // --- taking
  /** Approve with a name of our own. The log says whether it was first: it asks that name for the result. */
  async #claim(item: ApprovalItem): Promise<void> {
    if (globalThis.document?.visibilityState === "hidden") {
      await new Promise((resolve) => setTimeout(resolve, HIDDEN_MS));
      if (this.ended || !this.#isPending(item)) return;
    }
    const claim = newKey();
    this.#storeClaim(claim, "taken");
    if (!(await this.#resolve(item, "approved", claim))) this.#removeClaim(claim);
  }

  // --- running
  /** Run it, unless a copy of this tab, which remembers the same, does. */
  async #runUnderLock(item: ApprovalItem, claim: string): Promise<void> {
    this.#runningClaims.add(claim);
    try {
      if (!this.#locks) await this.#run(item, claim);
      else {
        await this.#locks.request(`holdfast.claim ${claim}`, { ifAvailable: true }, async (lock) => {
          if (lock) await this.#run(item, claim);
        });
      }
    } finally {
      this.#runningClaims.delete(claim);
    }
  }

  async #run(item: ApprovalItem, claim: string): Promise<void> {
    const tool = this.#tools()[browserToolOf(item)!]!;
    const { run, idempotent } = typeof tool === "function" ? { run: tool, idempotent: false } : tool;
    const abort = new AbortController();
    this.#aborts.set(item.id, abort);
    let decision: Decision = "approved";
    let note: string;
    try {
      if (this.#claims[claim] === "begun" && !idempotent) throw new Error("the page was reloaded");
      this.#storeClaim(claim, "begun");
      const call = { id: String(item.args["toolCallId"]), signal: abort.signal };
      note = await this.#note(toJson(await run(item.args["args"], call)), abort.signal);
    } catch (error) {
      decision = "denied";
      note = wellFormed((error instanceof Error ? error.message : String(error)).slice(0, NOTE_CHARS)) || "it failed";
    }
    this.#aborts.delete(item.id);
    if (this.#isPending(item)) await this.#resolve(item, decision, note);
    this.#removeClaim(claim);
  }

  /** A result as an approval's note: itself, or the blob that holds it. */
  async #note(result: string, signal: AbortSignal): Promise<string> {
    if (result.length <= NOTE_CHARS) return result;
    for (;;) {
      try {
        return `blob:${await putBlob(this.#client, this.#session.id, result, "application/json")}`;
      } catch (error) {
        if (!(error instanceof HoldfastError && error.retry) || signal.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  // --- answering
  /** Whether it is still to be decided, as far as this page knows. */
  #isPending({ id }: ApprovalItem): boolean {
    return (this.#approvals().find((item) => item.id === id)?.status ?? "pending") === "pending";
  }

  /** Decide, over any outage; false when somebody, or the deadline, was first, or it may not be done. */
  async #resolve(item: ApprovalItem, decision: Decision, note: string): Promise<boolean> {
    const options = { note, hash: item.hash, timeoutMs: Infinity };
    try {
      await (decision === "approved" ? this.#session.approve(item.id, options) : this.#session.deny(item.id, options));
      return true;
    } catch (error) {
      const refusal = error as HoldfastError;
      if (refusal.code !== "approval.resolved") this.#onError(refusal);
      return false;
    }
  }

  // --- surviving a reload
  #storeClaim(claim: string, state: "taken" | "begun"): void {
    this.#claims[claim] = state;
    for (const old of Object.keys(this.#claims).slice(0, -MAX_CLAIMS)) delete this.#claims[old];
    this.#persistClaims();
  }

  #removeClaim(claim: string): void {
    delete this.#claims[claim];
    this.#persistClaims();
  }

  #persistClaims(): void {
    try {
      this.#storage?.setItem(this.#name, JSON.stringify(this.#claims));
    } catch {} // storage is full or forbidden: a reload loses what was taken, and its time runs out
  }
}
