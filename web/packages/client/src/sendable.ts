// Owns what is refused here because the server could not read it, and so could not say whose answer its refusal is.

import { HoldfastError } from "./errors.js";
import type { Op } from "./protocol.js";

const MESSAGE_BYTES = 1 << 20;
const HALF_PAIR = /(?<!\\)(?:\\\\)*\\ud[89a-f]/; // JSON.stringify escapes a surrogate only when its other half is missing

/** Why an operation cannot be sent, or null. */
export function unsendable(op: Op): HoldfastError | null {
  const text = JSON.stringify(op);
  const large = text.length > MESSAGE_BYTES / 4 && new TextEncoder().encode(text).length > MESSAGE_BYTES - 64;
  if (!large && !HALF_PAIR.test(text)) return null;
  return new HoldfastError({
    code: large ? "input.too_large" : "input.malformed",
    message: `${op.op} ${large ? "is larger than a message may be" : "has half a surrogate pair"}.`,
  });
}
