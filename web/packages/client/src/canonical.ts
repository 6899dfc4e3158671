// Owns the byte-exact form of JSON values (FOLD-6): keys in the order of their UTF-16 code units, no spaces, numbers as
// JavaScript prints them. The twin of `canonical` in src/holdfast/protocol/codec.py.

/** Canonical JSON text of a value. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const object = value as Record<string, unknown>;
  return `{${Object.keys(object).sort().map((name) => `${JSON.stringify(name)}:${canonical(object[name])}`).join(",")}}`;
}
