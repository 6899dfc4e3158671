// Owns how amounts are shown: always with their unit, and with where they come from when they are not exact.

import type { ComponentChildren } from "preact";

const NANO = 1_000_000_000;
const CENT = NANO / 100;

/** The amount to the last digit, as text: what files carry, and what is shown when somebody points at a figure. */
export function exactUsd(nano: number): string {
  const digits = String(BigInt(Math.abs(nano))).padStart(10, "0");
  return `${nano < 0 ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

/** $1,234.56; below a cent with as many places as tell something. */
export function usd(nano: number): string {
  const size = Math.abs(nano) / NANO;
  const places = nano === 0 || Math.abs(nano) >= CENT ? 2 : Math.min(9, 1 - Math.floor(Math.log10(size)));
  return `${nano < 0 ? "−" : ""}$${size.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places })}`;
}

export const signedUsd = (nano: number): string => (nano > 0 ? `+${usd(nano)}` : nano < 0 ? usd(nano) : "±$0.00");

/** 1.2 M, 34 k: for tokens beside the exact number. */
export function short(count: number): string {
  const [size, unit] = count >= 1e9 ? [count / 1e9, " G"] : count >= 1e6 ? [count / 1e6, " M"] : count >= 1e4 ? [count / 1e3, " k"] : [count, ""];
  return `${size.toLocaleString("en-US", { maximumFractionDigits: size < 100 && unit ? 1 : 0 })}${unit}`;
}

/** A sentence of the server's, in which what is typed stands between backticks. */
export const Sentence = ({ text }: { text: string }) => <>{text.split("`").map((part, at) => (at % 2 ? <code key={at}>{part}</code> : part))}</>;

export const percent = (part: number, whole: number): string => (whole > 0 ? `${((100 * part) / whole).toFixed(part && part / whole < 0.1 ? 1 : 0)} %` : "–");

/** What nobody knows: never empty, never green. */
export const Unknown = ({ why, children = "unknown" }: { why?: string; children?: ComponentChildren }) => <span class="unknown" title={why}>{children}</span>;

/** An amount. `estimated`: how many rows in it are. */
export function Money({ nano, estimated = 0, basis = "exact", href, signed = false }: {
  nano: number | null;
  estimated?: number;
  basis?: string;
  href?: string | undefined;
  signed?: boolean;
}) {
  if (nano === null) return <Unknown why="there is no price for it">no price</Unknown>;
  const word = basis !== "exact" ? basis : estimated > 0 ? "part estimated" : "";
  const title = `${exactUsd(nano)} USD${estimated > 0 ? `; ${estimated.toLocaleString()} rows in it are estimated` : ""}`;
  const figure = <><span class="amount">{signed ? signedUsd(nano) : usd(nano)}</span>{word && <small class="basis">{word}</small>}</>;
  return href === undefined ? <span class="money" title={title}>{figure}</span> : <a class="money" title={title} href={href}>{figure}</a>;
}

/** An amount that came as decimal text; null is unknown. */
export const UsdText = ({ usd: text, why = "it is not known", href }: { usd: string | null; why?: string; href?: string }) => {
  const nano = nanoOf(text);
  return nano === null ? <Unknown why={why} /> : <Money nano={nano} href={href} />;
};

/** Nano-USD of decimal text, to the last digit; null stays unknown. */
export function nanoOf(text: string | null): number | null {
  if (text === null) return null;
  const [, sign = "", whole = "0", part = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  return Number(`${sign}${whole}${part.padEnd(9, "0").slice(0, 9)}`);
}
