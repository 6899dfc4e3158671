// Owns bars: shares of a whole, and the steps of a change. Plain elements, so that they print and grow with the text.

import type { ComponentChildren } from "preact";

import { signedUsd } from "./figures.js";

/** How much of the largest something is. */
export const ShareBar = ({ part, whole, unknown = false }: { part: number; whole: number; unknown?: boolean }) => (
  <span class={unknown ? "share hatched" : "share"} aria-hidden="true"><i style={{ width: `${whole > 0 ? part > 0 ? Math.min(100, Math.max(1, (100 * part) / whole)) : 0 : 0}%` }} /></span>
);

export interface ChangeStep { name: string; nano: number; why: ComponentChildren }

/** Steps that add up to a change: each begins where the one before ended. */
export function Waterfall({ steps, total }: { steps: readonly ChangeStep[]; total: number }) {
  const ends = steps.reduce<number[]>((found, { nano }) => [...found, (found.at(-1) ?? 0) + nano], [0]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const size = high - low || 1;
  const bar = (from: number, to: number) => ({ left: `${(100 * (Math.min(from, to) - low)) / size}%`, width: `${Math.max(0.4, (100 * Math.abs(to - from)) / size)}%` });
  const line = (name: string, from: number, to: number, why: ComponentChildren, kind: string) => (
    <div key={name} class="step" data-kind={kind}><dt>{name}</dt><dd><span class="track"><i data-way={to >= from ? "up" : "down"} style={bar(from, to)} /><s style={{ left: `${(100 * -low) / size}%` }} /></span><b>{signedUsd(to - from)}</b><small>{why}</small></dd></div>
  );
  return (
    <dl class="waterfall">
      {steps.map(({ name, nano, why }, at) => line(name, ends[at]!, ends[at]! + nano, why, "part"))}
      {line("all of it", 0, total, "", "whole")}
    </dl>
  );
}
