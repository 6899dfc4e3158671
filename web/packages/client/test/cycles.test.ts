// Nothing in the workspace imports in a cycle, and the check that says so notices one.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";

const CHECK = fileURLToPath(new URL("../../../cycles.mjs", import.meta.url));
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function check(...args: string[]) {
  const { status, stderr } = spawnSync(process.execPath, [CHECK, ...args], { encoding: "utf8" });
  return { status, cycles: stderr.trim().split("\n").filter(Boolean) };
}

function planted(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-cycles-"));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

test("no file of the workspace imports itself by way of others", () => {
  expect(check()).toEqual({ status: 0, cycles: [] });
});

test.each([
  ["values", 'import { b } from "./b.js";', 'import { c } from "./c.js";', 'import { a } from "./a.js";'],
  ["types", 'import type { B } from "./b.js";', 'export type B = import("./c.js").C;', 'export type * from "./a.js";'],
  ["what is loaded when it is needed", 'const b = () => import("./b.js");', 'type C = typeof import("./c.js");', 'export * as a from "./a.js";'],
])("a cycle of %s is noticed, and printed", (_, a, b, c) => {
  const { status, cycles } = check(planted({ "a.ts": a, "b.ts": b, "c.tsx": c, "d.ts": 'import "./a.js";' }));
  expect(status).toBe(1);
  expect(cycles).toHaveLength(1);
  expect(cycles[0]).toMatch(/^import cycle: \S+a\.ts → \S+b\.ts → \S+c\.tsx → \S+a\.ts$/);
});

test("what only looks like a cycle is none", () => {
  const text = '// import "./b.js";\nexport const text = `import "./b.js"`;';
  expect(check(planted({ "a.ts": text, "b.ts": 'import "./a.js"; import "./look.css";' }))).toEqual({ status: 0, cycles: [] });
});
