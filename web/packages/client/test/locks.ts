// Owns Web Locks where there are none (Node 20): exclusive locks that can be stolen, as browsers give them.

import type { TabLocks } from "../src/tabs.js";

export function webLocks(): TabLocks {
  const held = new Map<string, (reason: Error) => void>();
  const waiting: { name: string; go: () => void }[] = [];
  const next = (name: string) => {
    const at = waiting.findIndex((one) => one.name === name);
    if (at >= 0 && !held.has(name)) waiting.splice(at, 1)[0]!.go();
  };
  return {
    request: (name, { signal, steal }, granted) =>
      new Promise((resolve, reject) => {
        const go = () => {
          held.set(name, reject);
          void granted().then((value) => {
            if (held.get(name) === reject) held.delete(name);
            resolve(value);
            next(name);
          });
        };
        if (signal?.aborted) return reject(new Error("AbortError"));
        signal?.addEventListener("abort", () => reject(new Error("AbortError")));
        if (steal) {
          held.get(name)?.(new Error("AbortError"));
          held.delete(name);
          return go();
        }
        waiting.push({ name, go: () => (signal?.aborted ? next(name) : go()) });
        next(name);
      }),
  };
}
