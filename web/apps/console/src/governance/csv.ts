// Owns files for spreadsheets (RFC 4180): exactly what a table shows, amounts to the last digit.

export type CsvValue = string | number | null;

/** Text that a spreadsheet would take for a formula gets an apostrophe before it. */
function cellOf(value: CsvValue): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const guarded = /^[=+\-@\t\r]/.test(value) && !/^-?\d+(\.\d+)?$/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

export const csvOf = (rows: readonly (readonly CsvValue[])[]): string => rows.map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");
