// Owns canonical JSON (RFC 8785), for comparison and hashing (FOLD-6, CTL-6). `JSON.stringify` writes strings and numbers
// as it must; what is added is the order of keys, by UTF-16 code units, and the refusal of what is not JSON. The twin of
// `canonical` in src/holdfast/protocol/codec.py.

import { MESSAGE_DEPTH } from "./limits.js";

/**
 * Canonical JSON text of a value. Members that are undefined are left out, as in all JSON.
 *
 * Throws a `RangeError` for a value nested more than 64 levels deep or a number that is not finite, and a `TypeError` for
 * half a surrogate pair or what is no JSON value.
 */
export function canonical(value: unknown): string {
  return text(value, 1);
}

function text(value: unknown, depth: number): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError("a number that is no finite double");
  if (typeof value === "number" || typeof value === "boolean" || value === null) return JSON.stringify(value);
  if (typeof value !== "object") throw new TypeError(`${typeof value} is no JSON value`);
  if (depth > MESSAGE_DEPTH) throw new RangeError(`deeper than ${MESSAGE_DEPTH} levels`);
  if (Array.isArray(value)) return `[${value.map((item) => text(item, depth + 1)).join(",")}]`;
  const object = value as Record<string, unknown>;
  const names = Object.keys(object).filter((name) => object[name] !== undefined).sort();
  return `{${names.map((name) => `${quote(name)}:${text(object[name], depth + 1)}`).join(",")}}`;
}

const HALF_PAIR = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

function quote(value: string): string {
  if (HALF_PAIR.test(value)) throw new TypeError("half a surrogate pair");
  return JSON.stringify(value);
}
