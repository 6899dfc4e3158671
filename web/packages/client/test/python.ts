// Owns how a test reaches the Python side of the project: its interpreter, its command, processes of both.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const bin = process.env["HOLDFAST_BIN"] ?? `${ROOT}.venv/bin`;
if (!existsSync(`${bin}/python`)) throw new Error(`no Python at ${bin}: run make setup, or set HOLDFAST_BIN`);
export const PYTHON = `${bin}/python`;
export const HOLDFAST = `${bin}/holdfast`;

export interface StartedProcess {
  /** What the first group of the pattern matched. */
  found: string;
  stop(): Promise<void>;
}

/** Start a process and wait until its output matches. */
export function start(command: string, args: string[], pattern: RegExp): Promise<StartedProcess> {
  const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, COLUMNS: "200" } });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
  };
  return new Promise((resolve, reject) => {
    let output = "";
    const read = (chunk: Buffer) => {
      output += chunk;
      const found = pattern.exec(output)?.[1];
      if (found) resolve({ found, stop });
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", () => reject(new Error(`${command} ${args.join(" ")} ended:\n${output}`)));
  });
}
