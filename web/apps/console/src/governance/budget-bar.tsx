// Owns the bar of an account: what is spent, what calls under way hold, the part of that which such calls do not come to need, and the cap.

import type { ComponentChildren } from "preact";

import type { Account } from "./control-api.js";
import { isClose, isSpent, MANNERS, mannerOf, ppmWords, usedShare } from "./budget-words.js";
import { percent, Unknown, usd } from "./figures.js";

const MILLION = 1e6;

/** Of what is held, the part that such calls have not needed so far: stranded until they are settled. */
export const strandedNano = ({ reserved_nano, stranded_ppm }: Pick<Account, "reserved_nano" | "stranded_ppm">): number => Math.round((reserved_nano * (stranded_ppm ?? 0)) / MILLION);

export function BudgetBar({ account, wide = false }: { account: Account; wide?: boolean }) {
  const { budget: { cap_nano }, spent_nano, reserved_nano } = account;
  const whole = Math.max(cap_nano, spent_nano + reserved_nano, 1);
  const stranded = strandedNano(account);
  const part = (nano: number) => ({ width: `${(100 * Math.max(0, nano)) / whole}%` });
  const state = isSpent(account) ? "spent" : isClose(account) ? "close" : "calm";
  const words = `${usd(spent_nano)} spent, ${usd(reserved_nano)} held, of ${usd(cap_nano)}`;
  return (
    <span class={wide ? "budget-bar wide" : "budget-bar"} data-state={state} role="img" aria-label={words} title={words}>
      <i data-part="spent" style={part(spent_nano)} /><i data-part="held" style={part(reserved_nano - stranded)} /><i data-part="stranded" style={part(stranded)} />
      {cap_nano < whole && <s style={{ left: `${(100 * cap_nano) / whole}%` }} />}
    </span>
  );
}

export const BarKey = () => (
  <p class="bar-key" aria-hidden="true"><span><i data-part="spent" />spent</span><span><i data-part="held" />held by calls under way</span><span><i data-part="stranded" />of it, what such calls do not come to need (stranded)</span></p>
);

/** How much of the cap is taken, in words: never by colour alone. */
export function NearWords({ account }: { account: Account }) {
  const share = usedShare(account);
  const state = isSpent(account) ? "spent" : isClose(account) ? "close" : "calm";
  return <span class="near" data-state={state}>{Number.isFinite(share) ? percent(share, 1) : "no cap"}{state === "spent" ? " · nothing left" : state === "close" ? " · close" : ""}</span>;
}

export const Stranded = ({ ppm }: { ppm: number | null }) => (ppm === null ? <Unknown why="no call of this window has been settled yet">unknown</Unknown> : <span title="Of what settled calls of this window had reserved, the share that they did not need.">{ppmWords(ppm)}</span>);

export function MannerBadge({ budget, children }: { budget: Account["budget"]; children?: ComponentChildren }) {
  const manner = mannerOf(budget);
  return <span class="manner" data-manner={manner} title={MANNERS[manner]}>{manner}{children}</span>;
}
