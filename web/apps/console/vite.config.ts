import { defineConfig } from "vite";

/** Built into the Python package, which serves it; addresses are relative, so that it works under any path. */
export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { outDir: "../../../src/holdfast/pages/console", emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false } },
});
