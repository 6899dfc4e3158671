// Owns how a page says that its server simulates: nothing on it happened, and its time is not ours.

const time = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
let standing: number | null = null;

/** Unix ms: a simulation's, which stands still, where the server has one; else ours. */
export const nowMs = (): number => standing ?? Date.now();

/** A strip that stays, with the server's time (ISO 8601); nothing where that is real. */
export function SimulatedStrip({ at }: { at: string | undefined }) {
  standing = at === undefined ? null : Date.parse(at);
  if (at === undefined) return null;
  return <p class="simulated" role="note"><b>Simulated</b> <span>Everything here is made up. It is <time dateTime={at}>{time.format(new Date(at))}</time>.</span></p>;
}
