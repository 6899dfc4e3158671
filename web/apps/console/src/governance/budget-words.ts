// Owns how budgets are said: whose money it is, when it is counted, what it does, how near its cap it is, and what is left of time.

import { nameOf } from "holdfast-look";

import type { Account, BudgetFacts } from "./control-api.js";
import { moneyAddress } from "./frame.js";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const whoWords = (actor: string): string => (actor ? nameOf(actor) : "");
export const payerWords = (payer: string): string => (payer === "it" ? "IT" : payer);

export function scopeWords({ scope, each }: BudgetFacts): string {
  const parts = Object.entries(scope).map(([level, name]) => `${level} ${name}`);
  return [...parts, ...(each ? [`each ${each}`] : [])].join(", ") || "everything";
}

export function spanOf({ span, rolling_s }: BudgetFacts): string {
  if (span === "rolling") return `in ${leftWords(rolling_s * 1_000)}`;
  return span === "total" ? "in all" : `a ${span}`;
}

export type Manner = "enforced" | "observed" | "soft";
export const mannerOf = ({ strength, mode }: BudgetFacts): Manner => (strength === "soft" ? "soft" : mode === "enforce" ? "enforced" : "observed");
export const MANNERS: Record<Manner, string> = {
  enforced: "What does not fit is refused, and a running answer is ended.",
  observed: "What does not fit is let through, and counted here.",
  soft: "Passing the cap is told, and nothing is refused.",
};

/** Of a time that is left, its two largest parts. */
export function leftWords(ms: number): string {
  const [days, hours, minutes] = [Math.floor(ms / DAY_MS), Math.floor((ms % DAY_MS) / HOUR_MS), Math.floor((ms % HOUR_MS) / MINUTE_MS)];
  if (days >= 7) return `${days} days`;
  if (days) return `${days} d${hours ? ` ${hours} h` : ""}`;
  if (hours) return `${hours} h${minutes ? ` ${minutes} min` : ""}`;
  return minutes ? `${minutes} min` : `${Math.max(0, Math.ceil(ms / 1_000))} s`;
}

export const usedShare = ({ budget, spent_nano, reserved_nano }: Account): number => (budget.cap_nano > 0 ? (spent_nano + reserved_nano) / budget.cap_nano : spent_nano > 0 ? Infinity : 0);
/** Nothing is left, or the highest of its alerts is reached. */
export const isSpent = (account: Account): boolean => account.free_nano <= 0;
export const isClose = (account: Account): boolean => usedShare(account) >= Math.max(80, ...account.budget.alerts.filter((percent) => percent < 100)) / 100;

/** Who is closest to the cap first. */
export const byNearness = (one: Account, other: Account): number => usedShare(other) - usedShare(one) || other.budget.cap_nano - one.budget.cap_nano || one.budget.name.localeCompare(other.budget.name);

/** Whose accounts come and go: most of them are of what is over. */
export const isPassing = ({ each }: BudgetFacts): boolean => each === "run" || each === "session";

/** Of a budget of each of something: its account that is closest to the cap, how many there are, and how many have nothing left. */
export interface BudgetGroup { nearest: Account; count: number; spent: number }

/** One group for each budget, the closest to its cap first; those of runs and sessions after the others. */
export function groupsOf(accounts: readonly Account[]): BudgetGroup[] {
  const groups = new Map<string, BudgetGroup>();
  for (const account of [...accounts].sort(byNearness)) {
    const before = groups.get(account.budget.id);
    groups.set(account.budget.id, { nearest: before?.nearest ?? account, count: (before?.count ?? 0) + 1, spent: (before?.spent ?? 0) + Number(isSpent(account)) });
  }
  return [...groups.values()].sort((one, other) => Number(isPassing(one.nearest.budget)) - Number(isPassing(other.nearest.budget)));
}

export const accountName = ({ budget, subject }: Pick<Account, "budget" | "subject">): string => (subject ? `${budget.name} · ${subject}` : budget.name);
export const budgetAddress = ({ id }: { id: string }): string => moneyAddress("budgets", [], id);
export const rowsAddress = ({ rows: { since, until, where } }: Account): string => moneyAddress("rows", [["period", `${since}/${until}`], ...where.map((each): [string, string] => ["where", each])]);
export const callAddress = (call: string, atMs: number): string => {
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  return moneyAddress("rows", [["period", `${day(atMs - DAY_MS)}/${day(atMs + 2 * DAY_MS)}`], ["where", `call:${call}`]]);
};

const REASONS: Record<string, string> = {
  "budget.exceeded": "the cap has not enough left",
  "budget.reopens": "the window is spent, and opens again in a moment",
  "budget.spent": "the window is spent, and does not open soon",
  "budget.unbounded": "what it could cost cannot be told",
};
export const reasonWords = (code: string): string => REASONS[code] ?? code;
/** Of an alert. */
export const kindWords = (kind: string): string => {
  const [name, percent] = kind.split(":");
  return name === "threshold" ? `${percent} % spent` : name === "burn" ? "burns too fast" : name === "anomaly" ? "unusual day" : kind;
};
export const ppmWords = (ppm: number | null): string => (ppm === null ? "unknown" : `${(ppm / 10_000).toFixed(ppm > 0 && ppm < 100_000 ? 1 : 0)} %`);
