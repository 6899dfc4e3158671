// Owns what others do in a session that a chat shows: turns from other tabs, devices and people appear as they happen.

import type { Session } from "../session.js";
import { toUIMessages } from "./messages.js";
import type { UIMessageLike } from "./ui-message.js";
import type { Version } from "./calls.js";
import { activeRun } from "./transport.js";

/** The part of a `Chat`, or of what `useChat` returns, that is used. */
export interface ChatLike {
  readonly status: string;
  messages: any[];
  setMessages?: (messages: any[]) => void;
  resumeStream(): Promise<void>;
}

/**
 * Keep a chat up to date with its session, until what is returned is called.
 *
 * While the chat itself streams it is left alone. When it does not, it is given the session's messages where they
 * differ, and an answer that is being given is resumed. `chat` is asked for each time: `useChat` returns a new one.
 */
export function followTurns(session: Session, chat: () => ChatLike, version: Version = 7): () => void {
  let resuming = false;
  const update = () => {
    const current = chat();
    if (resuming || session.status !== "live" || current.status === "streaming" || current.status === "submitted") return;
    const run = activeRun(session.view);
    const messages = toUIMessages(session, version);
    if (differ(messages, run ? withoutLast(current.messages, run.id) : current.messages)) {
      if (current.setMessages) current.setMessages(messages);
      else current.messages = messages;
    }
    if (!run || waitsForDecision(current.messages, run.id)) return;
    resuming = true;
    void Promise.resolve(current.resumeStream()).catch(() => {}).finally(() => {
      resuming = false;
      update();
    });
  };
  const end = session.follow(update);
  queueMicrotask(update);
  return end;
}

const withoutLast = (messages: UIMessageLike[], run: string): UIMessageLike[] => messages.filter(({ id }) => id !== run);

/** Whether a chat lacks something, or has something that was taken back. */
const differ = (ours: UIMessageLike[], theirs: UIMessageLike[]): boolean =>
  ours.length !== theirs.length || ours.some(({ id }, number) => id !== theirs[number]?.id);

/** Whether the chat has the answer already, and it waits for the person. */
const waitsForDecision = (messages: UIMessageLike[], run: string): boolean =>
  messages.some(({ id, parts }) => id === run && parts.some(({ state }) => state === "approval-requested"));
