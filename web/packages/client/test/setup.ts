// Owns the server and the agent that the tests of one run talk to: real processes, on a port of their own.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createServer as createVite } from "vite";
import { HOLDFAST, PYTHON, ROOT, start } from "./python.js";

const run = promisify(execFile);

declare module "vitest" {
  interface ProvidedContext {
    url: string;
    /** Where a browser finds pages whose script is this package. */
    pages: string;
    tokens: { ann: string; ben: string; reader: string; budget: string };
    /** The server's database: whoever has it mints tokens. */
    db: string;
  }
}

/** Serves the sources, translated, to pages of its own origin. */
async function pages(): Promise<{ url: string; close(): Promise<void> }> {
  const server = { middlewareMode: true, hmr: false, ws: false } as const;
  const vite = await createVite({ root: `${ROOT}web/packages/client`, configFile: false, logLevel: "error", appType: "custom", server });
  const http = createServer((request, response) => {
    if (request.url !== "/") return vite.middlewares(request, response);
    response.setHeader("content-type", "text/html");
    response.end('<!doctype html><title>test</title><script type="module">import * as client from "/src/index.ts"; window.client = client</script>');
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const close = async () => {
    http.closeAllConnections();
    http.close();
    await vite.close();
  };
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, close };
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-client-"));
  const db = join(folder, "test.db");
  const page = await pages();
  const server = await start(HOLDFAST, ["serve", "--port", "0", "--db", db, "--quiet", "--origin", page.url], /ready on (\S+)/);
  const token = async (...args: string[]) => (await run(HOLDFAST, ["token", ...args, "--db", db])).stdout.trim();
  const [ann, ben, reader, writer, budget] = await Promise.all([
    token("user:ann"), token("user:ben"), token("user:ray", "--grant", "*=read"), token("agent:writer", "--agent", "writer"),
    token("policy:budget"),
  ]);
  const agent = await start(PYTHON, [`${ROOT}web/packages/client/test/agent.py`, server.found, writer!], /(serving)/);
  project.provide("url", server.found);
  project.provide("db", db);
  project.provide("pages", page.url);
  project.provide("tokens", { ann: ann!, ben: ben!, reader: reader!, budget: budget! });
  return async () => {
    await agent.stop();
    await server.stop();
    await page.close();
    rmSync(folder, { recursive: true, force: true });
  };
}
