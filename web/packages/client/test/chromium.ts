// Owns a browser for tests: Chromium, driven over its DevTools protocol.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";

/** A Chromium on this machine, or undefined. */
export const CHROMIUM = [
  process.env["CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome",
].find((path) => path && existsSync(path));

/** One tab. */
export interface Tab {
  /** Run an expression in the page, which may use `await`; resolves with its value as JSON. */
  run<T>(expression: string): Promise<T>;
  reload(): Promise<void>;
  close(): Promise<void>;
}

export interface Browser {
  open(url: string): Promise<Tab>;
  close(): Promise<void>;
}

export async function chromium(): Promise<Browser> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-chromium-"));
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--renderer-process-limit=16", "--remote-debugging-port=0"];
  const child = spawn(CHROMIUM!, [...flags, `--user-data-dir=${folder}`, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const address = await new Promise<string>((resolve, reject) => {
    let output = "";
    child.stderr.on("data", (chunk: Buffer) => {
      output += chunk;
      const found = /DevTools listening on (\S+)/.exec(output)?.[1];
      if (found) resolve(found);
    });
    child.once("exit", () => reject(new Error(`Chromium ended:\n${output}`)));
  });
  const socket = new WebSocket(address);
  await new Promise((resolve) => socket.once("open", resolve));
  const pending = new Map<number, { resolve: (result: any) => void; reject: (error: Error) => void }>();
  let next = 1;
  socket.on("message", (data) => {
    const { id, result, error } = JSON.parse(String(data));
    if (error) pending.get(id)?.reject(new Error(error.message));
    else pending.get(id)?.resolve(result);
    pending.delete(id);
  });
  const send = (method: string, params: object = {}, sessionId?: string): Promise<any> =>
    new Promise((resolve, reject) => {
      const id = next++;
      pending.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
  return {
    open: async (url) => {
      const { targetId } = await send("Target.createTarget", { url, newWindow: true });
      const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
      const run = async (body: string) => {
        const expression = `(async () => ${body.startsWith("{") ? body : `(${body})`})()`;
        const params = { expression, awaitPromise: true, returnByValue: true };
        const { result, exceptionDetails } = await send("Runtime.evaluate", params, sessionId);
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
      };
      const loaded = async () => {
        // the page between the old one and the new is gone before it can answer
        while (!(await run("window.client !== undefined").catch(() => false))) await new Promise((go) => setTimeout(go, 20));
      };
      await loaded();
      return {
        run,
        reload: async () => {
          await send("Page.enable", {}, sessionId);
          await run("void (delete window.client)");
          await send("Page.reload", {}, sessionId);
          await loaded();
        },
        close: () => send("Target.closeTarget", { targetId }).catch(() => {}), // closed already
      };
    },
    close: async () => {
      socket.close();
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}
