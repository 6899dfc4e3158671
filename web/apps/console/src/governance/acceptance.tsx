// Owns how it is shown what became of work: how much of it was accepted, at least, and what each accepted piece cost.

import type { ModelRow } from "./control-api.js";
import { Unknown, UsdText } from "./figures.js";
import { moneyAddress } from "./frame.js";
import { dayAfter } from "./period.js";
import type { Column } from "./table.js";

const WINDOW_DAYS = 90; // in which outcomes are counted

/** The rows of the ledger in which the work of a model is. */
export const workAddress = ({ workflow, task, model }: { workflow?: string; task?: string; model?: string }, today: string): string => moneyAddress("rows", [["period", `${dayAfter(today, 1 - WINDOW_DAYS)}/${today}`], ...Object.entries({ workflow, task, asked: model }).filter(([, value]) => value).map(([name, value]): [string, string] => ["where", `${name}:${value}`])]);

export const shareWords = (part: number, n: number): string => `${((100 * part) / n).toFixed(0)} %`;

/** Accepted work: with n always, and the bound below which the share is not. */
export const Accepted = ({ accepted, n }: { accepted: number; n: number }) => (n === 0 ? <Unknown why="nobody has said what became of its work" /> : <>{shareWords(accepted, n)} <small>{accepted.toLocaleString()} of {n.toLocaleString()}</small></>);

export const acceptedColumns = (today: string): Column<ModelRow>[] => [
  { name: "n", label: "n", kind: "number", value: ({ n }) => n, cell: (row) => (row.n ? <a href={moneyAddress("outcomes")}>{row.n.toLocaleString()}</a> : "0") },
  { name: "accepted", label: "accepted", kind: "number", value: ({ accepted, n }) => (n ? accepted : null), order: ({ accepted, n }) => (n ? accepted / n : -1), cell: ({ accepted, n }) => <Accepted accepted={accepted} n={n} /> },
  { name: "at_least", label: "at least", kind: "number", value: ({ at_least, n }) => (n ? at_least : null), order: ({ at_least }) => at_least, cell: ({ at_least, n }) => (n ? <span title="One-sided bound, with confidence 95 %">{shareWords(at_least, 1)}</span> : <Unknown why="no outcome" />) },
  { name: "rejected", label: "rejected · escalated", kind: "number", value: ({ rejected }) => rejected, cell: ({ rejected, escalated }) => `${rejected} · ${escalated}` }, { name: "escalated", label: "escalated", value: ({ escalated }) => escalated, hidden: true },
  { name: "each_usd", label: "cost of one", kind: "number", value: ({ each_usd }) => each_usd, order: ({ each_usd }) => Number(each_usd ?? -1), cell: (row) => <UsdText usd={row.each_usd} why="the cost of some of it is not known" href={workAddress(row, today)} /> },
  { name: "accepted_usd", label: "cost per accepted", kind: "number", value: ({ accepted_usd }) => accepted_usd, order: ({ accepted_usd }) => Number(accepted_usd ?? -1), cell: (row) => <b><UsdText usd={row.accepted_usd} why={row.n ? "nothing was accepted, or a cost is not known" : "no outcome"} href={workAddress(row, today)} /></b> },
];
