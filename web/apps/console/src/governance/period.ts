// Owns which days a page is about, and the days before them with which they are compared. Days are ISO dates.

const DAY_MS = 86_400_000;

export interface Period {
  /** As the address says it. */
  name: string;
  since: string;
  until: string;
  days: number;
  /** As many days just before. */
  before: { since: string; until: string };
}

export const PERIODS = [["7d", "7 days"], ["28d", "28 days"], ["90d", "90 days"], ["month", "this month"], ["last-month", "last month"]] as const;

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const msOf = (day: string): number => Date.parse(`${day}T00:00:00Z`);
export const dayAfter = (day: string, days: number): string => new Date(msOf(day) + days * DAY_MS).toISOString().slice(0, 10);
/** The day on which a time is, in a zone; the reader's own where none is named. */
export const dateIn = (zone: string, ms: number): string =>
  new Intl.DateTimeFormat("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit", ...(zone && { timeZone: zone }) }).format(ms);
export const daysFrom = (since: string, until: string): string[] =>
  Array.from({ length: Math.round((msOf(until) - msOf(since)) / DAY_MS) + 1 }, (_, at) => dayAfter(since, at));
export const secondsOf = (day: string): number => msOf(day) / 1_000;

/** The period that an address names: one of `PERIODS` up to a day, or `FIRST/LAST` day. */
export function periodOf(name: string, today: string): Period {
  const [first = "", last = ""] = name.split("/");
  if (DAY.test(first) && DAY.test(last) && first <= last && !Number.isNaN(msOf(first) + msOf(last))) return between(name, first, last);
  if (name === "month") return between(name, `${today.slice(0, 8)}01`, today);
  if (name === "last-month") {
    const until = dayAfter(`${today.slice(0, 8)}01`, -1);
    return between(name, `${until.slice(0, 8)}01`, until);
  }
  const days = Number(/^(\d{1,3})d$/.exec(name)?.[1] ?? 7) || 7;
  return between(`${days}d`, dayAfter(today, 1 - days), today);
}

function between(name: string, since: string, until: string): Period {
  const days = daysFrom(since, until).length;
  return { name, since, until, days, before: { since: dayAfter(since, -days), until: dayAfter(since, -1) } };
}

/** 2026-11-02 → 2 Nov, in the reader's own way. */
export const shortDay = (day: string): string =>
  DAY.test(day) ? new Date(msOf(day)).toLocaleDateString([], { day: "numeric", month: "short", timeZone: "UTC" }) : day;
export const spanWords = ({ since, until }: { since: string; until: string }): string => (since === until ? shortDay(since) : `${shortDay(since)} – ${shortDay(until)}`);
