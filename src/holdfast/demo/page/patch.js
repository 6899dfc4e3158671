// JSON Patch (RFC 6902) with pointers of RFC 6901, applied whole or not at all.
// The twin of src/holdfast/protocol/patch.py: both are held to the same random cases.

export class PatchError extends Error {}

/** A new document with every operation applied; throws PatchError and changes nothing when one does not fit. */
export function applyPatch(document, patch) {
  if (!Array.isArray(patch)) throw new PatchError("a patch is a list of operations");
  const root = [structuredClone(document)]; // one level up, so that the whole document can be replaced like any member
  for (const step of patch) {
    if (!isObject(step) || typeof own(step, "path") !== "string") throw new PatchError("an operation has a path");
    applyStep(root, step);
  }
  return root[0];
}

function applyStep(root, step) {
  const op = own(step, "op");
  const path = tokens(step.path);
  if (op === "add" || op === "replace" || op === "test") {
    if (!Object.hasOwn(step, "value")) throw new PatchError(`${op} needs a value`);
    if (op !== "test") put(root, path, structuredClone(step.value), op === "replace");
    else if (!equal(get(root, path), step.value)) throw new PatchError("test failed");
  } else if (op === "remove") {
    take(root, path);
  } else if (op === "move" || op === "copy") {
    if (typeof own(step, "from") !== "string") throw new PatchError(`${op} needs from`);
    const source = tokens(step.from);
    if (op === "move" && path.length > source.length && source.every((token, i) => token === path[i])) {
      throw new PatchError("cannot move a value into itself");
    }
    put(root, path, op === "move" ? take(root, source) : structuredClone(get(root, source)), false);
  } else {
    throw new PatchError("unknown operation");
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const own = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);

/** Set a member by any name, `__proto__` included. */
function setMember(object, name, value) {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

function tokens(pointer) {
  if (pointer === "") return [];
  if (!pointer.startsWith("/")) throw new PatchError("a pointer starts with /");
  return pointer.slice(1).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function index(token, size) {
  if (!/^(0|[1-9][0-9]*)$/.test(token) || Number(token) >= size) throw new PatchError("no such index");
  return Number(token);
}

function member(parent, token) {
  if (Array.isArray(parent)) return parent[index(token, parent.length)];
  if (!isObject(parent)) throw new PatchError("not a container");
  if (!Object.hasOwn(parent, token)) throw new PatchError("no such member");
  return parent[token];
}

const get = (root, path) => path.reduce(member, root[0]);
const parentOf = (root, path) => (path.length ? [get(root, path.slice(0, -1)), path.at(-1)] : [root, "0"]);

function put(root, path, value, replace) {
  const [parent, token] = parentOf(root, path);
  const replaces = replace || !path.length;
  if (replaces) member(parent, token);
  if (Array.isArray(parent)) {
    if (replaces) parent[index(token, parent.length)] = value;
    else parent.splice(token === "-" ? parent.length : index(token, parent.length + 1), 0, value);
  } else if (isObject(parent)) {
    setMember(parent, token, value);
  } else {
    throw new PatchError("not a container");
  }
}

function take(root, path) {
  if (!path.length) throw new PatchError("the whole document cannot be removed");
  const [parent, token] = parentOf(root, path);
  const value = member(parent, token);
  if (Array.isArray(parent)) parent.splice(Number(token), 1);
  else delete parent[token];
  return value;
}

function equal(left, right) {
  if (Array.isArray(left)) {
    return Array.isArray(right) && left.length === right.length && left.every((value, i) => equal(value, right[i]));
  }
  if (isObject(left)) {
    if (!isObject(right)) return false;
    const names = Object.keys(left);
    return names.length === Object.keys(right).length
      && names.every((name) => Object.hasOwn(right, name) && equal(left[name], right[name]));
  }
  return left === right;
}
