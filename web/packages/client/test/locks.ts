// Owns Web Locks where there are none (Node 20): exclusive locks that can be stolen, as browsers give them.

import type { TabLocks } from "../src/tabs.js";

export function webLocks(): TabLocks {
  const owners = new Map<string, (reason: Error) => void>();
  const waiting: { name: string; grant: () => void }[] = [];
  const next = (name: string) => {
    const at = waiting.findIndex((one) => one.name === name);
    if (at >= 0 && !owners.has(name)) waiting.splice(at, 1)[0]!.grant();
  };
  return {
    request: (name, { signal, steal }, granted) =>
      new Promise((resolve, reject) => {
        const grant = () => {
          owners.set(name, reject);
          void granted().then((value) => {
            if (owners.get(name) === reject) owners.delete(name);
            resolve(value);
            next(name);
          });
        };
        if (signal?.aborted) return reject(new Error("AbortError"));
        signal?.addEventListener("abort", () => reject(new Error("AbortError")));
        if (steal) {
          owners.get(name)?.(new Error("AbortError"));
          owners.delete(name);
          return grant();
        }
        waiting.push({ name, grant: () => (signal?.aborted ? next(name) : grant()) });
        next(name);
      }),
  };
}
