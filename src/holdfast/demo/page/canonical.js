// The byte-exact form of a JSON value, as src/holdfast/protocol/codec.py `canonical`: keys in the order of their
// UTF-16 code units, no spaces, numbers as JavaScript prints them.

/** Canonical JSON text of a value. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join(",")}}`;
}
