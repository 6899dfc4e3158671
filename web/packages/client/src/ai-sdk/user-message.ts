// Owns a person's message: a `UIMessage` as a message of the session, and back. What the session has no field for (the
// message's metadata, `data-*` parts, an order of parts of its own) is stored with the message, as its `meta`. The server's own
// dialect stores the same (src/holdfast/edge/dialects/ai_sdk/user_message.py).

import type { MessageItem } from "../protocol.js";
import type { UIMessageLike } from "./ui-message.js";

const META = "aiSdk";
/** Attachments that are no files of a person's: what a client of another dialect sent beside the text. */
const CONTEXT = /^application\/vnd\.(ag-ui\.context|openai\.response-request)\+json$/;

/** The parts that `sendMessage({ text, files })` makes. */
const defaultParts = (text: string, files: number): any[] =>
  [...Array.from({ length: files }, () => ({ type: "file" })), ...(text ? [{ type: "text" }] : [])];

/** The text of a message, and what is stored with it. */
export function readUserMessage({ parts, metadata }: UIMessageLike): { text: string; meta?: Record<string, unknown> } {
  const texts = parts.filter(({ type }) => type === "text").map(({ text }) => String(text));
  const text = texts.join("\n\n");
  const shapes = parts.map((part) => {
    if (part.type === "file") return { type: "file" };
    return part.type !== "text" ? part : texts.length === 1 ? { type: "text" } : { type: "text", text: part.text };
  });
  const files = shapes.filter(({ type }) => type === "file").length;
  const isDefault = JSON.stringify(shapes) === JSON.stringify(defaultParts(text, files));
  const stored = { ...(metadata !== undefined && { metadata }), ...(!isDefault && { parts: shapes }) };
  return { text, ...(Object.keys(stored).length && { meta: { [META]: stored } }) };
}

/** A message of a person, or of an agent outside of runs, as the `UIMessage` it was. */
export function toUIMessage({ id, role, text, attachments = [], meta, actor, ts }: MessageItem): UIMessageLike {
  const ownAttachments = attachments.filter(({ mediaType = "" }) => !CONTEXT.test(mediaType));
  const files = ownAttachments.map(({ blob, name = "", mediaType = "application/octet-stream" }) => ({
    type: "file", mediaType, filename: name, url: `blob:${blob}`,
  }));
  const stored = (meta?.[META] ?? {}) as { metadata?: unknown; parts?: any[] };
  const parts = (stored.parts ?? defaultParts(text, files.length)).map((shape) => {
    if (shape.type === "file") return files.shift() ?? shape;
    return shape.type === "text" ? { type: "text", text: shape.text ?? text } : shape;
  });
  const holdfast = { by: actor, ts };
  const { metadata = {} } = stored;
  const allMetadata = typeof metadata === "object" && metadata !== null && !Array.isArray(metadata) ? { ...metadata, holdfast } : metadata;
  return { id, role: role === "assistant" || role === "operator" ? "assistant" : "user", parts, metadata: allMetadata };
}
