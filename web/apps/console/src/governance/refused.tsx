// Owns what did not fit into budgets: by reason, false refusals first, and what was only observed marked as that.

import type { Refusal, RefusalReason, Refusals } from "./control-api.js";
import { budgetAddress, callAddress, reasonWords } from "./budget-words.js";
import { exactUsd, Money, percent, Unknown } from "./figures.js";
import { type Column, DataTable } from "./table.js";

const FALSE = "The money was there all the time, held by calls that did not come to use it.";
const NOT_YET = "calls that were under way are not settled yet";

export function Refused({ found: { reasons, refusals }, time, named = true }: { found: Refusals; time: (ms: number) => string; named?: boolean }) {
  const byReason: Column<RefusalReason>[] = [
    { name: "reason", label: "reason", kind: "wide", value: ({ reason }) => reason, cell: ({ reason }) => <>{reasonWords(reason)} <small>{reason}</small></> },
    { name: "mode", label: "what was done", value: ({ mode }) => mode, cell: ({ mode }) => <Mode mode={mode} /> },
    { name: "calls", label: "calls", kind: "number", value: ({ refused }) => refused, cell: ({ refused }) => refused.toLocaleString() },
    { name: "false", label: "of them false", kind: "number", value: (row) => row.false, cell: (row) => (row.false ? <b class="wrong" title={FALSE}>{row.false.toLocaleString()} ({percent(row.false, row.refused)})</b> : row.unknown === row.refused ? <Unknown why={NOT_YET} /> : "none") },
    { name: "unknown", label: "not known yet", kind: "number", value: ({ unknown }) => unknown, cell: ({ unknown }) => (unknown ? <Unknown why={NOT_YET}>{unknown.toLocaleString()}</Unknown> : "none") },
  ];
  const each: Column<Refusal>[] = [
    { name: "at", label: "when", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: ({ at_ms }) => time(at_ms) },
    { name: "budget", label: "budget", kind: "wide", value: ({ name }) => name, cell: ({ name, budget, subject }) => <><a href={budgetAddress({ id: budget })}>{name}</a> <small>{subject}</small></>, hidden: !named },
    { name: "false", label: "false?", value: (row) => (row.false === null ? "unknown" : row.false ? "false" : "right"), cell: (row) => (row.false === null ? <Unknown why={NOT_YET}>not yet</Unknown> : row.false ? <b class="wrong" title={FALSE}>false</b> : "no") },
    { name: "reason", label: "reason", value: ({ reason }) => reason, cell: ({ reason, in_stream }) => <>{reasonWords(reason)} {in_stream ? <small>in mid-answer</small> : null}</> },
    { name: "mode", label: "what was done", value: ({ mode }) => mode, cell: ({ mode }) => <Mode mode={mode} /> },
    { name: "workflow", label: "workflow · call", value: ({ workflow }) => workflow, cell: ({ workflow, call, at_ms }) => <>{workflow || "(none)"} <a href={callAddress(call, at_ms)} title={call}>its rows</a></> },
    { name: "need_usd", label: "needed", kind: "number", value: ({ need_nano }) => exactUsd(need_nano), order: ({ need_nano }) => need_nano, cell: ({ need_nano }) => <Money nano={need_nano} /> },
    { name: "spent_usd", label: "spent · held then", kind: "number", value: ({ spent_nano }) => exactUsd(spent_nano), order: ({ spent_nano }) => spent_nano, cell: ({ spent_nano, reserved_nano }) => <><Money nano={spent_nano} /> · <Money nano={reserved_nano} /></> },
    { name: "held_usd", label: "held", value: ({ reserved_nano }) => exactUsd(reserved_nano), hidden: true },
    { name: "cap_usd", label: "of", kind: "number", value: ({ cap_nano }) => exactUsd(cap_nano), order: ({ cap_nano }) => cap_nano, cell: ({ cap_nano }) => <Money nano={cap_nano} /> },
    { name: "call", label: "call", value: ({ call }) => call, hidden: true },
  ];
  const words = "Everything fitted: no call was refused, and none would have been.";
  return (
    <>
      <DataTable label="What did not fit, by reason" columns={byReason} rows={reasons} file="refusals-by-reason" keyOf={({ reason, mode }) => `${reason} ${mode}`} empty={words} />
      {refusals.length > 0 && <DataTable label="Calls that did not fit" columns={each} rows={refusals} file="refusals" keyOf={({ id }) => id} empty={words} />}
    </>
  );
}

const Mode = ({ mode }: { mode: "observe" | "enforce" }) => (mode === "observe" ? <span class="manner" data-manner="observed" title="It was let through, and only counted.">observed</span> : <span class="manner" data-manner="enforced">refused</span>);
