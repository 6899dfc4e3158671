// Owns JSON Patch (RFC 6902) with pointers of RFC 6901, applied whole or not at all. The twin of
// src/holdfast/protocol/patch.py: both are held to the same random cases, and to the same bounds.

import { canonical } from "./canonical.js";
import { JSON_DEPTH, STATE_BYTES } from "./limits.js";

type Json = unknown;
type JsonObject = Record<string, Json>;

/** The patch does not fit the document; nothing was changed. */
export class PatchError extends Error {}

const refuse = (reason: string): never => {
  throw new PatchError(reason);
};

/**
 * A new document with every operation applied. Throws `PatchError` and changes nothing when one does not fit, when the
 * document would get deeper than JSON may be on the way, or in the end larger than the state of a session.
 */
export function applyPatch(document: Json, patch: Json): Json {
  if (!Array.isArray(patch)) return refuse("a patch is a list of operations");
  const root: Json[] = [deepCopy(document, 0)]; // one level up: the whole document is replaced like any member
  let copies = 0;
  for (const step of patch as Json[]) {
    if (!isObject(step) || typeof own(step, "path") !== "string") return refuse("an operation has a path");
    copies += applyStep(root, step);
    if (copies > STATE_BYTES) refuse("it copies too much");
  }
  if (bytes(root[0]) > STATE_BYTES) refuse("the document would be too large");
  return root[0];
}

/** Apply one operation; returns the bytes it copied. */
function applyStep(root: Json[], step: JsonObject): number {
  const op = own(step, "op");
  const path = tokens(step["path"] as string);
  if (op === "add" || op === "replace" || op === "test") {
    if (!Object.hasOwn(step, "value")) refuse(`${op} needs a value`);
    if (op !== "test") put(root, path, deepCopy(step["value"], path.length), op === "replace");
    else if (!equal(get(root, path), step["value"])) refuse("test failed");
  } else if (op === "remove") {
    take(root, path);
  } else if (op === "move" || op === "copy") {
    const from = own(step, "from");
    if (typeof from !== "string") return refuse(`${op} needs from`);
    const source = tokens(from);
    if (op === "move" && path.length > source.length && source.every((token, i) => token === path[i])) {
      refuse("cannot move a value into itself");
    }
    const value = op === "move" ? take(root, source) : get(root, source);
    put(root, path, deepCopy(value, path.length), false);
    return op === "copy" ? bytes(value) : 0;
  } else {
    refuse("unknown operation");
  }
  return 0;
}

const bytes = (value: Json): number => new TextEncoder().encode(canonical(value)).length;

/** A copy of a value that is to stand below so many levels. */
function deepCopy(value: Json, above: number): Json {
  if (typeof value !== "object" || value === null) return value;
  if (above >= JSON_DEPTH) refuse("the document would be too deep");
  if (Array.isArray(value)) return value.map((item) => deepCopy(item, above + 1));
  const copy: JsonObject = {};
  for (const name of Object.keys(value)) setMember(copy, name, deepCopy((value as JsonObject)[name], above + 1));
  return copy;
}

const isObject = (value: Json): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const own = (object: JsonObject, name: string): Json => (Object.hasOwn(object, name) ? object[name] : undefined);

/** Set a member by any name, `__proto__` included. */
function setMember(object: JsonObject, name: string, value: Json): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

function tokens(pointer: string): string[] {
  if (pointer === "") return [];
  if (!pointer.startsWith("/")) return refuse("a pointer starts with /");
  return pointer.slice(1).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function index(token: string, size: number): number {
  return /^(0|[1-9][0-9]*)$/.test(token) && Number(token) < size ? Number(token) : refuse("no such index");
}

function member(parent: Json, token: string): Json {
  if (Array.isArray(parent)) return parent[index(token, parent.length)];
  if (!isObject(parent)) return refuse("not a container");
  return Object.hasOwn(parent, token) ? parent[token] : refuse("no such member");
}

const get = (root: Json[], path: string[]): Json => path.reduce(member, root[0]);
const parentOf = (root: Json[], path: string[]): [Json, string] =>
  path.length ? [get(root, path.slice(0, -1)), path.at(-1)!] : [root, "0"];

function put(root: Json[], path: string[], value: Json, replace: boolean): void {
  const [parent, token] = parentOf(root, path);
  const replaces = replace || !path.length;
  if (replaces) member(parent, token);
  if (Array.isArray(parent)) {
    if (replaces) parent[index(token, parent.length)] = value;
    else parent.splice(token === "-" ? parent.length : index(token, parent.length + 1), 0, value);
  } else if (isObject(parent)) {
    setMember(parent, token, value);
  } else {
    refuse("not a container");
  }
}

function take(root: Json[], path: string[]): Json {
  if (!path.length) return refuse("the whole document cannot be removed");
  const [parent, token] = parentOf(root, path);
  const value = member(parent, token);
  if (Array.isArray(parent)) parent.splice(Number(token), 1);
  else delete (parent as JsonObject)[token];
  return value;
}

function equal(left: Json, right: Json): boolean {
  if (Array.isArray(left)) {
    return Array.isArray(right) && left.length === right.length && left.every((value, i) => equal(value, right[i]));
  }
  if (!isObject(left)) return left === right;
  if (!isObject(right)) return false;
  const names = Object.keys(left);
  return names.length === Object.keys(right).length
    && names.every((name) => Object.hasOwn(right, name) && equal(left[name], right[name]));
}
