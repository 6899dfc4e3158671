// Owns how a tab that was opened without a key comes by one: from a tab of the same browser that shows these pages. The
// key goes over a channel that only pages of this origin hear, and is kept nowhere but in the tabs themselves.

import { claims, speaker } from "./token.js";

const CHANNEL = "holdfast.key";
const WAIT_MS = 250; // for the first tab that answers,
const MORE_MS = 50; // and then for others

interface Lent {
  token: string;
  /** The asking tab. */
  to: string;
}

/** Lend this tab's key to tabs that ask for one. */
export function lend(token: string): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", ({ data }: MessageEvent<{ ask?: string }>) => {
    if (data.ask) channel.postMessage({ token, to: data.ask } satisfies Lent);
  });
}

/** A key of another tab, or "" where there is none, or where tabs act for different people: which one is not guessed. */
export async function borrow(): Promise<string> {
  const channel = new BroadcastChannel(CHANNEL);
  const me = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const lent: string[] = [];
  await new Promise<void>((resolve) => {
    setTimeout(resolve, WAIT_MS);
    channel.addEventListener("message", ({ data }: MessageEvent<Partial<Lent>>) => {
      if (data.to !== me || !data.token) return;
      lent.push(data.token);
      setTimeout(resolve, MORE_MS);
    });
    channel.postMessage({ ask: me });
  });
  channel.close();
  const whose = new Set(lent.map((token) => speaker(token) || token));
  return whose.size === 1 ? lent.sort((one, other) => Number(claims(other)["exp"]) - Number(claims(one)["exp"]))[0]! : "";
}
