// Canonical JSON is that of RFC 8785 (FOLD-6, CTL-6): the same vectors as tests/unit/protocol/test_canonical.py.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { canonical } from "../src/fold.js";
import { ROOT } from "./python.js";

interface Vectors {
  texts: [string, string][];
  doubles: [string, string][];
  refused_doubles: string[];
  refused_texts: string[];
  approvals: { tool: string; args: string; hash: string }[];
}

const vectors = JSON.parse(readFileSync(`${ROOT}conformance/canonical.json`, "utf8")) as Vectors;
const double = (bits: string): number => Buffer.from(bits, "hex").readDoubleBE();

const nested = (levels: number): unknown => {
  let value: unknown = [];
  for (let level = 1; level < levels; level++) value = [value];
  return value;
};

describe("canonical JSON", () => {
  test.each(vectors.texts)("of %s", (text, form) => {
    expect(canonical(JSON.parse(text))).toBe(form);
    expect(canonical(JSON.parse(form))).toBe(form);
  });

  test.each(vectors.doubles)("of the double %s", (bits, form) => {
    expect(canonical([double(bits)])).toBe(`[${form}]`);
  });

  test.each(vectors.refused_doubles)("has none for the double %s", (bits) => {
    expect(() => canonical({ a: double(bits) })).toThrow(RangeError);
  });

  test.each(vectors.refused_texts)("has none for %s", (text) => {
    expect(() => canonical(JSON.parse(text))).toThrow(TypeError);
  });

  test.each([[1n], [[undefined]], [() => 1], [Symbol("a")]])("has none for what is not JSON (%#)", (value) => {
    expect(() => canonical({ a: [value] })).toThrow(TypeError);
  });

  test("leaves out what is undefined, as all JSON does", () => {
    expect(canonical({ b: undefined, a: 1 })).toBe('{"a":1}');
  });

  test.each([65, 1_000, 200_000])("is bounded in depth by us (%i levels)", (levels) => {
    expect(() => canonical(nested(levels))).toThrow("64 levels");
    expect(canonical(nested(64))).toHaveLength(128);
  });

  test.each(vectors.approvals)("is what an approval of $tool is hashed over", ({ tool, args, hash }) => {
    expect(createHash("sha256").update(canonical({ tool, args: JSON.parse(args) as unknown })).digest("hex")).toBe(hash);
  });
});
