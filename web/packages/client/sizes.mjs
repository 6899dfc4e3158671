// Prints what every entry point costs a page, minified and compressed, and fails when the core outgrows its bound.
// The core is what a page pays that connects; parts that are loaded when they are needed are listed by themselves.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const CORE_BYTES = 8 << 10;
const HERE = fileURLToPath(new URL(".", import.meta.url));
const EXTERNAL = ["react", "ai", "@ag-ui/*", "rxjs"];

/** Sizes of the parts of a bundle: `first` is what is loaded at once, the others by the file they begin with. */
async function bundle(contents) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: HERE, sourcefile: "page.js" }, bundle: true, minify: true, splitting: true,
    format: "esm", platform: "neutral", target: "es2022", external: EXTERNAL, write: false, metafile: true,
    outdir: `${HERE}out`, absWorkingDir: HERE, outExtension: { ".js": ".mjs" },
  });
  const bytes = (file) => gzipSync(outputFiles.find(({ path }) => path.endsWith(file)).contents, { level: 9 }).length;
  const files = metafile.outputs;
  const first = new Set(Object.keys(files).filter((file) => files[file].entryPoint === "page.js"));
  for (const file of first) {
    for (const { path, kind } of files[file].imports) if (kind === "import-statement" && files[path]) first.add(path);
  }
  const later = Object.keys(files).filter((file) => !first.has(file) && files[file].entryPoint);
  return {
    first: [...first].reduce((sum, file) => sum + bytes(file), 0),
    later: Object.fromEntries(later.map((file) => [files[file].entryPoint.replace(/^dist\//, ""), bytes(file)])),
  };
}

const { exports } = JSON.parse(await readFile(`${HERE}package.json`, "utf8"));
const core = await bundle('export { connect, HoldfastError } from "./dist/index.js";');
const sizes = { core: core.first };
for (const [file, bytes] of Object.entries(core.later)) sizes[`core, when needed: ${file}`] = bytes;
for (const [name, { default: path }] of Object.entries(exports)) {
  sizes[name] = (await bundle(`export * from "${path}";`)).first;
}
for (const [name, bytes] of Object.entries(sizes)) console.log(`${name.padEnd(36)} ${String(bytes).padStart(6)} bytes min+gzip`);
await writeFile(`${HERE}dist/sizes.json`, `${JSON.stringify(sizes, null, 2)}\n`);
if (sizes.core > CORE_BYTES) {
  console.error(`the core has ${sizes.core} bytes; its bound is ${CORE_BYTES}`);
  process.exit(1);
}
