// Owns how a test reaches the Python side of the project: its interpreter and commands.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const bin = process.env["HOLDFAST_BIN"] ?? `${ROOT}.venv/bin`;
if (!existsSync(`${bin}/python`)) throw new Error(`no Python at ${bin}: run make setup, or set HOLDFAST_BIN`);
export const PYTHON = `${bin}/python`;
