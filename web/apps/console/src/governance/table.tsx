// Owns tables of figures: sorted by any column, saved as CSV as they are shown, read on a phone as cards.

import { Button } from "holdfast-look";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { saveFile } from "../console.js";
import { type CsvValue, csvOf } from "./csv.js";

const SHOWN = 100; // rows until somebody asks for all

export interface Column<T> {
  /** Its name in a file; of amounts with the unit. */
  name: string;
  label: string;
  value: (row: T) => CsvValue;
  /** By what it is sorted, where that is not the value. */
  order?: (row: T) => number;
  cell?: (row: T) => ComponentChildren;
  kind?: "number" | "wide";
  /** Is only in the file. */
  hidden?: boolean;
}

export function DataTable<T>({ label, columns, rows, file, keyOf, empty, below }: {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  /** Name of its file, without an ending. */
  file: string;
  keyOf: (row: T) => string;
  empty: string;
  /** What is shown below a row, where somebody opened it. */
  below?: (row: T) => ComponentChildren;
}) {
  const [order, setOrder] = useState<{ name: string; down: boolean } | null>(null);
  const [all, setAll] = useState(false);
  const column = order && columns.find(({ name }) => name === order.name);
  const sorted = column ? [...rows].sort((one, other) => compare(column, one, other) * (order.down ? -1 : 1)) : rows;
  const shown = columns.filter(({ hidden }) => !hidden);
  const save = () => saveFile(new Blob([csvOf([columns.map(({ name }) => name), ...sorted.map((row) => columns.map(({ value }) => value(row)))])], { type: "text/csv;charset=utf-8" }), `${file}.csv`);
  return (
    <section class="data" aria-label={label}>
      <header><h2>{label}</h2><small>{rows.length.toLocaleString()}</small><Button icon="down" label="CSV" kind="quiet" class="save" title={`Save ${label} as CSV, as they are shown`} disabled={!rows.length} onClick={save} /></header>
      {!rows.length ? <p class="nothing">{empty}</p> : (
        <table class="ledger"><thead><tr>{shown.map(({ name, label: words, kind }) => (
          <th key={name} class={kind} aria-sort={order?.name === name ? (order.down ? "descending" : "ascending") : undefined}>
            <button type="button" class="quiet" onClick={() => setOrder(order?.name === name ? { name, down: !order.down } : { name, down: kind === "number" })}>{words}{order?.name === name ? (order.down ? " ↓" : " ↑") : ""}</button>
          </th>
        ))}</tr></thead><tbody>
          {(all ? sorted : sorted.slice(0, SHOWN)).map((row) => {
            const more = below?.(row);
            return [
              <tr key={keyOf(row)} data-row data-key={keyOf(row)} tabIndex={-1}>{shown.map((each) => <td key={each.name} class={each.kind} data-label={each.label}>{each.cell ? each.cell(row) : each.value(row) ?? "–"}</td>)}</tr>,
              more ? <tr key={`${keyOf(row)} below`} class="below"><td colSpan={shown.length}>{more}</td></tr> : null,
            ];
          })}
        </tbody></table>
      )}
      {!all && rows.length > SHOWN && <p class="more"><Button icon="fold" label={`show all ${rows.length.toLocaleString()}`} kind="quiet" onClick={() => setAll(true)} /></p>}
    </section>
  );
}

function compare<T>({ value, order }: Column<T>, one: T, other: T): number {
  if (order) return order(one) - order(other);
  const [left, right] = [value(one), value(other)];
  if (left === null || right === null) return Number(right === null) - Number(left === null);
  return typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right), "en", { numeric: true });
}
