// Owns what is refused here because the server could not read it, and so could not say whose answer its refusal is.

import { HoldfastError } from "./errors.js";
import { MESSAGE_BYTES, MESSAGE_DEPTH } from "./limits.js";
import type { Op } from "./protocol.js";

const HALF_PAIR = /(?<!\\)(?:\\\\)*\\ud[89a-f]/; // JSON.stringify escapes a surrogate only when its other half is missing

/** Why an operation cannot be sent, or null. */
export function sendError(op: Op): HoldfastError | null {
  const text = isTooDeep(op, 0) ? "" : JSON.stringify(op);
  const [code, fix] =
    !text ? ["too_deep", "Flatten it."]
    : new Blob([text]).size > MESSAGE_BYTES - 64 ? ["too_large", "Use a blob."]
    : HALF_PAIR.test(text) ? ["malformed", "Send whole characters."]
    : [];
  return code ? new HoldfastError({ code: `input.${code}`, message: `${op.op}: ${code}`, fix }) : null;
}

/** Whether a value below so many levels is nested more deeply than a message may be, as one is that contains itself. */
export const isTooDeep = (value: unknown, above: number): boolean =>
  typeof value === "object" && value !== null
  && (above >= MESSAGE_DEPTH || Object.values(value).some((item) => isTooDeep(item, above + 1)));
