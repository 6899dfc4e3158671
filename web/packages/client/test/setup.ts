// Owns the server and the agent that the tests of one run talk to: real processes, on a port of their own.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { HOLDFAST, PYTHON, ROOT, start } from "./python.js";

const run = promisify(execFile);

declare module "vitest" {
  interface ProvidedContext {
    url: string;
    tokens: { ann: string; ben: string; reader: string };
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-client-"));
  const db = join(folder, "test.db");
  const server = await start(HOLDFAST, ["serve", "--port", "0", "--db", db, "--quiet"], /ready on (\S+)/);
  const token = async (...args: string[]) => (await run(HOLDFAST, ["token", ...args, "--db", db])).stdout.trim();
  const [ann, ben, reader, writer] = await Promise.all([
    token("user:ann"), token("user:ben"), token("user:ray", "--grant", "*=read"), token("agent:writer", "--agent", "writer"),
  ]);
  const agent = await start(PYTHON, [`${ROOT}web/packages/client/test/agent.py`, server.found, writer!], /(serving)/);
  project.provide("url", server.found);
  project.provide("tokens", { ann: ann!, ben: ben!, reader: reader! });
  return async () => {
    await agent.stop();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}
