// Owns a conversation as the SDK's `UIMessage[]`: the first messages of a chat.

import { rootOf, visible } from "../branch.js";
import type { Session } from "../session.js";
import { ended } from "../view.js";
import { Answer } from "./answer.js";
import { type Chunk, parseJson, type Version } from "./calls.js";
import type { UIMessageLike } from "./ui-message.js";
import { toUIMessage } from "./user-message.js";

/** The messages of the branch shown, within the view's window. An answer that is being given is left out: resume it. */
export function toUIMessages(session: Session, version: Version = 7): UIMessageLike[] {
  const { view } = session;
  const messages: UIMessageLike[] = [];
  const seen = new Set<string>();
  for (const item of visible(view)) {
    if (item.run === undefined) {
      if (item.kind === "message") messages.push(toUIMessage(item));
      continue;
    }
    const root = rootOf(view.runs, item.run);
    if (seen.has(root)) continue;
    seen.add(root);
    const run = view.runs.get(root);
    if (run && ended(run)) messages.push(buildMessage([...new Answer(session.id, root, version).chunks(view)]));
  }
  return messages;
}

/** The message that the SDK makes of an ended answer's chunks. */
function buildMessage(chunks: Chunk[]): UIMessageLike {
  const metadata: Record<string, unknown> = {};
  const message: UIMessageLike = { id: "", role: "assistant", parts: [], metadata: { holdfast: metadata } };
  const partsByKey = new Map<string, any>();
  for (const { type, ...chunk } of chunks as any[]) {
    Object.assign(metadata, chunk.messageMetadata?.holdfast);
    const [kind, step] = type.split("-");
    if (type === "start") message.id = chunk.messageId;
    else if (type === "start-step") message.parts.push({ type: "step-start" });
    else if ((kind === "text" || kind === "reasoning") && step === "start") {
      const part = { type: kind, text: "", state: "done" };
      partsByKey.set(`${kind} ${chunk.id}`, part);
      message.parts.push(part);
    } else if (step === "delta") partsByKey.get(`${kind} ${chunk.id}`).text += chunk.delta;
    else if (kind === "tool") applyToolChunk(type, chunk, message.parts, partsByKey);
    else if (kind === "source" || kind === "file" || kind === "data") message.parts.push({ type, ...chunk });
    const text = partsByKey.get(`${kind} ${chunk.id}`);
    if (text && chunk.providerMetadata) text.providerMetadata = chunk.providerMetadata;
  }
  return message;
}

/** One step of a tool part: its input, what allows it, its output. */
function applyToolChunk(type: string, chunk: any, parts: any[], partsByKey: Map<string, any>): void {
  if (type === "tool-approval-response") {
    const part = parts.find(({ approval }) => approval?.id === chunk.approvalId);
    Object.assign(part.approval, { approved: chunk.approved, ...(chunk.reason && { reason: chunk.reason }) });
    part.state = "approval-responded";
    return;
  }
  let part = partsByKey.get(`tool ${chunk.toolCallId}`);
  if (!part) {
    part = { type: `tool-${chunk.toolName}`, toolCallId: chunk.toolCallId, providerExecuted: true };
    partsByKey.set(`tool ${chunk.toolCallId}`, part);
    parts.push(part);
  }
  const { input, output, errorText } = chunk;
  if (type === "tool-input-start") Object.assign(part, { state: "input-streaming", input: null });
  else if (type === "tool-input-delta") part.input = parseJson(chunk.inputTextDelta);
  else if (type === "tool-input-available") Object.assign(part, { state: "input-available", input });
  else if (type === "tool-approval-request") Object.assign(part, { state: "approval-requested", approval: { id: chunk.approvalId } });
  else if (type === "tool-output-available") Object.assign(part, { state: "output-available", output });
  else if (type === "tool-output-error") Object.assign(part, { state: "output-error", errorText });
  else if (type === "tool-output-denied") part.state = "output-denied";
  if (chunk.providerMetadata) part.callProviderMetadata = chunk.providerMetadata;
}
