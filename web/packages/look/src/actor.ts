// Owns how an actor is shown: a stable hue from its name, and its short name.

const FACTOR = 25; // spreads short lower-case names well; any other odd number would do

/** A stable hue of an actor, in degrees. */
export function hueOf(actor: string): number {
  let hash = 7;
  for (const letter of actor) hash = (Math.imul(hash, FACTOR) + letter.codePointAt(0)!) >>> 0;
  return hash % 360;
}

/** `user:you` → `you`, `agent:librarian/protocol` → `protocol`. */
export const nameOf = (actor: string): string => actor.slice(actor.indexOf(":") + 1).split("/").at(-1)!;

/** 12:03, in the reader's own way. */
export const clock = (ms: number): string => new Date(ms).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
