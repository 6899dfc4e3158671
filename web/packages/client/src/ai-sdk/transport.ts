// Owns the way between a chat of the AI SDK (5 to 7) and a session: a chat's id is its session's.

import { putBlob } from "../blobs.js";
import type { Client } from "../client.js";
import { HoldfastError } from "../errors.js";
import type { Attachment, RunState } from "../protocol.js";
import type { Run } from "../run.js";
import type { Session } from "../session.js";
import { ended, type View } from "../view.js";
import { Answer, runTree, streamOf } from "./answer.js";
import type { UIMessageLike } from "./ui-message.js";
import { readUserMessage } from "./user-message.js";
import type { Version } from "./calls.js";

export interface ChatTransportOptions {
  client: Client;
  /** Who answers; without it, the session's own agent. */
  agent?: string;
  /** The major version of the `ai` package: 7 unless said otherwise. */
  version?: Version;
}

/** What a chat gives with its messages. */
export interface SendMessagesOptions {
  trigger: "submit-message" | "regenerate-message";
  chatId: string;
  messageId?: string | undefined;
  messages: UIMessageLike[];
  abortSignal?: AbortSignal | undefined;
}

/**
 * A `ChatTransport` over one connection: `new Chat({ id, transport: new HoldfastChatTransport({ client, agent }) })`.
 *
 * Only the last message is looked at; the session has the others. `stop()` cancels the run; closing the page does not.
 * An approval ends the stream; the SDK's answer to it decides, and the same message goes on.
 */
export class HoldfastChatTransport {
  /** A resumed stream has the answer from its beginning. */
  readonly resumeStreamIsReplay = true;
  readonly #client: Client;
  readonly #agent: string;
  readonly #version: Version;
  readonly #answers = new Map<string, Answer>(); // by session and run: what was sent of it here

  constructor({ client, agent = "", version = 7 }: ChatTransportOptions) {
    this.#client = client;
    this.#agent = agent;
    this.#version = version;
  }

  async sendMessages({ trigger, chatId, messageId, messages, abortSignal }: SendMessagesOptions): Promise<ReadableStream<any>> {
    const session = this.#client.session(chatId);
    const last = messages.at(-1);
    if (!last) throw malformed("There is no message to send.");
    if (trigger !== "regenerate-message" && last.role === "assistant") return this.#decide(session, last, abortSignal);
    const options = { ...this.#agentOption, ...incarnationOf(messageId, messages), select: true };
    const run = trigger === "regenerate-message"
      ? await session.regenerate(await this.#inputOf(session, messages, messageId), options)
      : await this.#send(session, last, messageId === last.id);
    if (!run.id) {
      throw new HoldfastError({ code: "run.muted", message: "It was said; no agent answers while a person has taken over." });
    }
    return this.#stream(session, new Answer(session.id, run.id, this.#version), run.id, run.seq, abortSignal);
  }

  /** The answer that is being given, from its beginning; null when there is none. */
  async reconnectToStream({ chatId, abortSignal }: { chatId: string; abortSignal?: AbortSignal | undefined }): Promise<ReadableStream<any> | null> {
    const session = this.#client.session(chatId);
    const run = await this.#active(session);
    return run && this.#stream(session, new Answer(session.id, run.id, this.#version), run.id, 0, abortSignal);
  }

  /** Put words into the answer that is being given; resolves with the steer's id. */
  async steer(chatId: string, text: string): Promise<string> {
    const session = this.#client.session(chatId);
    const run = await this.#active(session);
    if (!run) throw new HoldfastError({ code: "run.ended", message: "No answer is being given." });
    return session.steer(run.id, text);
  }

  get #agentOption(): { agent?: string } {
    return this.#agent ? { agent: this.#agent } : {};
  }

  async #active(session: Session): Promise<RunState | null> {
    try {
      return activeRun(await session.state()) ?? null;
    } catch (error) {
      if (hasCode(error, "session.not_found")) return null;
      throw error;
    }
  }

  #stream(session: Session, answer: Answer, run: string, since: number, signal?: AbortSignal): ReadableStream<unknown> {
    this.#answers.set(`${session.id} ${run}`, answer);
    const cancel = () => void session.cancel({ run }).catch(() => {}); // it has ended: nothing is left to stop
    if (signal?.aborted) cancel();
    else signal?.addEventListener("abort", cancel, { once: true });
    return streamOf(session, answer, since);
  }

  // --- what a chat asks for
  async #send(session: Session, message: UIMessageLike, isEdit: boolean): Promise<Run> {
    const { text, meta } = readUserMessage(message);
    const files = message.parts.filter(({ type }) => type === "file");
    const send = async (): Promise<Run> => {
      const attachments = await Promise.all(files.map((file) => this.#attach(session, file)));
      const options = { ...this.#agentOption, ...(attachments.length ? { attachments } : {}), ...(meta && { meta }) };
      try {
        if (isEdit) return await session.send(text, { ...options, edits: message.id });
      } catch (error) {
        if (!hasCode(error, "input.not_found")) throw error; // it never arrived: then this is the first time
      }
      return session.send(text, { ...options, key: message.id });
    };
    try {
      return await send();
    } catch (error) {
      if (!hasCode(error, "session.not_found")) throw error;
      await session.create(this.#agentOption);
      return send();
    }
  }

  async #attach(session: Session, { url, filename, mediaType }: any): Promise<Attachment> {
    const facts = { name: filename ?? "", media_type: mediaType };
    const blobId = /^blob:([0-9a-f]{64})$/.exec(url)?.[1];
    if (blobId) return { blob: blobId, ...facts };
    if (!/^data:/.test(url)) throw malformed("The url of a file must be a data: address or a blob of this session.");
    const data = await (await fetch(url)).blob();
    return { blob: await putBlob(this.#client, session.id, data, mediaType), ...facts };
  }

  async #inputOf(session: Session, messages: UIMessageLike[], messageId: string | undefined): Promise<string> {
    const view = await session.state();
    const run = view.runs.get(messageId ?? ""); // the id of an assistant message is its run's
    const lastUserId = messages.findLast(({ role }) => role === "user")?.id;
    const edit = view.items.findLast((item) => item.kind === "message" && (item.id === lastUserId || item.edits === lastUserId));
    const input = run?.input ?? edit?.id ?? lastUserId;
    if (!input) throw malformed("There is no user message to answer again.");
    return input;
  }

  /** The chat answers approvals: its message comes back with them, and goes on after what it has. */
  async #decide(session: Session, message: UIMessageLike, signal?: AbortSignal): Promise<ReadableStream<unknown>> {
    const answers = message.parts.filter(({ state, approval }) => state === "approval-responded" && approval);
    if (!answers.length) throw malformed("The last message is neither the user's nor does it answer an approval.");
    const answer = this.#answers.get(`${session.id} ${message.id}`) ?? this.#restoreAnswer(await session.state(), session.id, message.id);
    for (const { approval } of answers) answer.parts.calls.answeredApprovals.add(approval.id);
    answer.resume();
    const stream = this.#stream(session, answer, message.id, 0, signal);
    for (const { approval } of answers) {
      const options = { ...incarnationOf(message.id), ...(approval.reason ? { note: approval.reason } : {}) };
      const decision = approval.approved ? session.approve(approval.id, options) : session.deny(approval.id, options);
      await decision.catch((error: unknown) => {
        if (!hasCode(error, "approval.resolved")) throw error; // somebody was faster: the stream says who
      });
    }
    return stream;
  }

  /** An answer of which the chat has all that the view shows now: the page was loaded again meanwhile. */
  #restoreAnswer(view: View, session: string, run: string): Answer {
    const answer = new Answer(session, run, this.#version);
    answer.parts.runs = runTree(view, run);
    answer.parts.markSent(view.items.filter((item) => answer.parts.runs.has(item.run ?? "")));
    return answer;
  }
}

/** The root run that is being executed or waits, the earliest first. */
export function activeRun(view: View): RunState | undefined {
  for (const run of view.runs.values()) if (run.parent === undefined && !ended(run)) return run;
  return undefined;
}

/** The life of the session in which a chat was shown this (LIFE-1): the id of an answer is its run's, which says it. */
function incarnationOf(id: string | undefined, messages: UIMessageLike[] = []): { incarnation?: string } {
  const ids = [id ?? "", ...messages.map((message) => message.id).reverse()];
  const incarnation = ids.map((one) => /^r\d+-([0-9a-f]{10,16})$/.exec(one)?.[1]).find(Boolean);
  return incarnation ? { incarnation } : {};
}

const hasCode = (error: unknown, code: string): boolean => error instanceof HoldfastError && error.code === code;
const malformed = (message: string): HoldfastError => new HoldfastError({ code: "input.malformed", message });
