// Fails when files of the workspace import each other in a cycle, and prints each cycle. Imports of types count, and those
// that are made when they are needed. `node cycles.mjs [FOLDER …]`; without a folder: the sources of all packages and apps.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const ROOT = dirname(fileURLToPath(import.meta.url));
const SOURCE = /\.tsx?$/;

const sourceFolders = () => ["packages", "apps"].flatMap((kind) =>
  readdirSync(join(ROOT, kind)).map((name) => join(ROOT, kind, name, "src")).filter(existsSync));

const filesIn = (folder) =>
  readdirSync(folder, { recursive: true }).filter((name) => SOURCE.test(name)).map((name) => join(folder, name));

/** The source of a module: "./x.js" is written in `x.ts` or `x.tsx`. */
const sourceOf = (path) =>
  [path, path.replace(/\.js$/, ".ts"), path.replace(/\.js$/, ".tsx")].find((file) => SOURCE.test(file) && existsSync(file));

/** What a package of the workspace exports: the source behind each name by which others import it. */
function exportsOf(folder) {
  const { name, exports = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return Object.entries(exports).map(([entry, target]) => {
    const path = (target.default ?? target).replace("/dist/", "/src/");
    return [entry.replace(/^\./, name), sourceOf(join(folder, path))];
  });
}

/** The modules that a file names, in imports, re-exports, `import(…)` and types. */
function modulesIn(file) {
  const found = [];
  const visit = (node) => {
    const { moduleSpecifier, moduleReference, argument } = node;
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) found.push(moduleSpecifier);
    else if (ts.isImportEqualsDeclaration(node)) found.push(moduleReference.expression);
    else if (ts.isImportTypeNode(node)) found.push(argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) found.push(node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest));
  return found.filter((name) => name && ts.isStringLiteralLike(name)).map(({ text }) => text);
}

/** The files that each file imports. */
function importGraph(folders) {
  const packages = new Map(sourceFolders().flatMap((folder) => exportsOf(dirname(folder))));
  const resolved = (file, name) => (name.startsWith(".") ? sourceOf(join(dirname(file), name)) : packages.get(name));
  return new Map(folders.flatMap(filesIn).map((file) =>
    [file, [...new Set(modulesIn(file).map((name) => resolved(file, name)).filter(Boolean))].sort()]));
}

/** What a file imports, and what that imports, each with the file by which it is reached first. */
function reachedFrom(start, graph) {
  const importers = new Map((graph.get(start) ?? []).map((next) => [next, start]));
  for (const file of importers.keys()) { // grows while it is walked: breadth first
    for (const next of graph.get(file) ?? []) if (!importers.has(next)) importers.set(next, file);
  }
  return importers;
}

function cycleThrough(file, importers) {
  const cycle = [file];
  do cycle.unshift(importers.get(cycle[0])); while (cycle[0] !== file);
  return cycle;
}

/** Of files that all reach each other one cycle, the shortest. */
function cyclesOf(graph) {
  const reached = new Map([...graph.keys()].sort().map((file) => [file, reachedFrom(file, graph)]));
  const cycles = [];
  const done = new Set();
  for (const [file, importers] of reached) {
    if (done.has(file) || !importers.has(file)) continue;
    const component = [...importers.keys()].filter((other) => reached.get(other)?.has(file)).sort();
    for (const other of component) done.add(other);
    cycles.push(component.map((other) => cycleThrough(other, reached.get(other))).sort((a, b) => a.length - b.length)[0]);
  }
  return cycles;
}

const folders = process.argv.length > 2 ? process.argv.slice(2).map((folder) => resolve(folder)) : sourceFolders();
const cycles = cyclesOf(importGraph(folders));
for (const cycle of cycles) console.error(`import cycle: ${cycle.map((file) => relative(ROOT, file)).join(" → ")}`);
process.exitCode = cycles.length ? 1 : 0;
