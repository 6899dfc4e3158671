// Owns a conversation as the SDK's `UIMessage[]`: what a chat is given as its first messages.

import { rootOf, visible } from "../branch.js";
import type { Session } from "../session.js";
import { ended } from "../view.js";
import { Answer } from "./answer.js";
import { parsed, type Chunk, type Version } from "./calls.js";
import { shown } from "./user-message.js";

/** A `UIMessage` of the `ai` package, whichever version. */
export interface UIMessageLike {
  id: string;
  role: "system" | "user" | "assistant";
  parts: any[];
  metadata?: any;
}

/** The messages of the branch shown, within the view's window. An answer that is being given is left out: resume it. */
export function toUIMessages(session: Session, version: Version = 7): UIMessageLike[] {
  const { view } = session;
  const found: UIMessageLike[] = [];
  const told = new Set<string>();
  for (const item of visible(view)) {
    if (item.run === undefined) {
      if (item.kind === "message") found.push(shown(item));
      continue;
    }
    const root = rootOf(view.runs, item.run);
    if (told.has(root)) continue;
    told.add(root);
    const run = view.runs.get(root);
    if (run && ended(run)) found.push(folded([...new Answer(session.id, root, version).tell(view)]));
  }
  return found;
}

/** The message that the SDK makes of an ended answer's chunks. */
function folded(chunks: Chunk[]): UIMessageLike {
  const about: Record<string, unknown> = {};
  const message: UIMessageLike = { id: "", role: "assistant", parts: [], metadata: { holdfast: about } };
  const known = new Map<string, any>();
  for (const { type, ...chunk } of chunks as any[]) {
    Object.assign(about, chunk.messageMetadata?.holdfast);
    const [kind, step] = type.split("-");
    if (type === "start") message.id = chunk.messageId;
    else if (type === "start-step") message.parts.push({ type: "step-start" });
    else if ((kind === "text" || kind === "reasoning") && step === "start") {
      const part = { type: kind, text: "", state: "done" };
      known.set(`${kind} ${chunk.id}`, part);
      message.parts.push(part);
    } else if (step === "delta") known.get(`${kind} ${chunk.id}`).text += chunk.delta;
    else if (kind === "tool") tool(type, chunk, message.parts, known);
    else if (kind === "source" || kind === "file" || kind === "data") message.parts.push({ type, ...chunk });
    const text = known.get(`${kind} ${chunk.id}`);
    if (text && chunk.providerMetadata) text.providerMetadata = chunk.providerMetadata;
  }
  return message;
}

/** One step of a tool part: its input, what allows it, its output. */
function tool(type: string, chunk: any, parts: any[], known: Map<string, any>): void {
  if (type === "tool-approval-response") {
    const part = parts.find(({ approval }) => approval?.id === chunk.approvalId);
    Object.assign(part.approval, { approved: chunk.approved, ...(chunk.reason && { reason: chunk.reason }) });
    part.state = "approval-responded";
    return;
  }
  let part = known.get(`tool ${chunk.toolCallId}`);
  if (!part) {
    part = { type: `tool-${chunk.toolName}`, toolCallId: chunk.toolCallId, providerExecuted: true };
    known.set(`tool ${chunk.toolCallId}`, part);
    parts.push(part);
  }
  const { input, output, errorText } = chunk;
  if (type === "tool-input-start") Object.assign(part, { state: "input-streaming", input: null });
  else if (type === "tool-input-delta") part.input = parsed(chunk.inputTextDelta);
  else if (type === "tool-input-available") Object.assign(part, { state: "input-available", input });
  else if (type === "tool-approval-request") Object.assign(part, { state: "approval-requested", approval: { id: chunk.approvalId } });
  else if (type === "tool-output-available") Object.assign(part, { state: "output-available", output });
  else if (type === "tool-output-error") Object.assign(part, { state: "output-error", errorText });
  else if (type === "tool-output-denied") part.state = "output-denied";
  if (chunk.providerMetadata) part.callProviderMetadata = chunk.providerMetadata;
}
