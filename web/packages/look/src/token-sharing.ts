// Owns how a tab that was opened without a token gets one: from a tab of the same browser that shows these pages. The
// token goes over a channel that only pages of this origin receive, and is stored nowhere but in the tabs themselves.

import { claimsOf, subjectOf } from "./token.js";

const CHANNEL = "holdfast.key";
const WAIT_MS = 250; // for the first tab that answers,
const MORE_MS = 50; // and then for others

interface SharedToken {
  token: string;
  /** The asking tab. */
  to: string;
}

/** Give this tab's token to tabs that ask for one. */
export function shareToken(token: string): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", ({ data }: MessageEvent<{ ask?: string }>) => {
    if (data.ask) channel.postMessage({ token, to: data.ask } satisfies SharedToken);
  });
}

/** A token of another tab, or "" where there is none, or where tabs act for different people: which one is not guessed. */
export async function requestToken(): Promise<string> {
  const channel = new BroadcastChannel(CHANNEL);
  const me = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const tokens: string[] = [];
  await new Promise<void>((resolve) => {
    setTimeout(resolve, WAIT_MS);
    channel.addEventListener("message", ({ data }: MessageEvent<Partial<SharedToken>>) => {
      if (data.to !== me || !data.token) return;
      tokens.push(data.token);
      setTimeout(resolve, MORE_MS);
    });
    channel.postMessage({ ask: me });
  });
  channel.close();
  const subjects = new Set(tokens.map((token) => subjectOf(token) || token));
  return subjects.size === 1 ? tokens.sort((one, other) => Number(claimsOf(other)["exp"]) - Number(claimsOf(one)["exp"]))[0]! : "";
}
