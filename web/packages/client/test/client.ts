// Owns what the tests of the client share: clients that are closed, sessions nobody else uses, a storage.

import { afterEach, inject } from "vitest";
import { WebSocket } from "ws";
import { type Client, connect, type ConnectOptions, newKey, type StorageLike } from "../src/index.js";
import type { WebSocketLike } from "../src/websocket.js";

const open: { close(): unknown }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((resource) => resource.close()));
});

/** Close it after the test. */
export function closeAfterTest<T extends { close(): unknown }>(resource: T): T {
  open.unshift(resource);
  return resource;
}

/** A client of the server the tests share, as user:ann unless said otherwise. */
export const client = (options: ConnectOptions & { url?: string } = {}): Client => {
  const { url = inject("url"), ...rest } = options;
  const socket = WebSocket as unknown as WebSocketLike;
  return closeAfterTest(connect(url, { token: inject("tokens").ann, WebSocket: socket, storage: null, ...rest }));
};

export const fresh = (): string => `t-${newKey()}`;

/** A storage as a page has one. */
export function storage(): StorageLike & { values: Map<string, string> } {
  const values = new Map<string, string>();
  return {
    values,
    getItem: (name) => values.get(name) ?? null,
    setItem: (name, value) => void values.set(name, value),
    removeItem: (name) => void values.delete(name),
  };
}

/** Wait until something is so; the test's own time limit ends it otherwise. */
export async function until<T>(condition: () => T | Promise<T>): Promise<NonNullable<T>> {
  for (;;) {
    const found = await condition();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
