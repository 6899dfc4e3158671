// Prints what every entry point costs a page, minified and compressed, and fails when the core outgrows its bound.
// Parts loaded only when they are needed (import()) are listed by themselves.

import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const CORE_BYTES = 8 << 10;
const EXTERNAL = ["react", "ai", "@ag-ui/*", "rxjs"];

const { exports } = JSON.parse(await readFile(new URL("package.json", import.meta.url), "utf8"));
const sizes = {};
for (const [name, { default: path }] of Object.entries(exports)) {
  const { outputFiles, metafile } = await build({
    entryPoints: [new URL(path, import.meta.url).pathname], bundle: true, minify: true, splitting: true, format: "esm",
    platform: "neutral", target: "es2022", external: EXTERNAL, write: false, metafile: true, outdir: "out",
    absWorkingDir: new URL(".", import.meta.url).pathname,
  });
  const at = (file) => outputFiles.find(({ path: whole }) => whole.endsWith(file.replace(/^.*out/, "out")));
  const size = (file) => gzipSync(at(file).contents, { level: 9 }).length;
  const entry = Object.keys(metafile.outputs).find((file) => metafile.outputs[file].entryPoint?.endsWith(path.slice(2)));
  const eager = new Set([entry]);
  for (const file of eager) {
    for (const { path: next, kind } of metafile.outputs[file].imports) if (kind === "import-statement" && metafile.outputs[next]) eager.add(next);
  }
  sizes[name] = [...eager].reduce((sum, file) => sum + size(file), 0);
  if (name !== ".") continue;
  for (const [file, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (!eager.has(file) && entryPoint) sizes[`. (when needed) ${entryPoint.replace(/^dist\//, "")}`] = size(file);
  }
}
for (const [name, bytes] of Object.entries(sizes)) console.log(`${name.padEnd(36)} ${String(bytes).padStart(6)} bytes min+gzip`);
await writeFile(new URL("dist/sizes.json", import.meta.url), `${JSON.stringify(sizes, null, 2)}\n`);
if (sizes["."] > CORE_BYTES) {
  console.error(`the core has ${sizes["."]} bytes; its bound is ${CORE_BYTES}`);
  process.exit(1);
}
