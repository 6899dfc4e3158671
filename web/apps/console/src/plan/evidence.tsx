// Owns what a verdict stands on, one click away from it: rows, query, digest, numbers of the rule, and how it stood before.

import { Glyph } from "holdfast-look";

import { useAnswer, Answered } from "../governance/answer.js";
import { routeOf } from "../governance/api.js";
import { CopyCommand, quoted } from "../governance/frame.js";
import { type Column, DataTable } from "../governance/table.js";
import type { EvidenceAnswer, EvidenceDoor, Explained, PastVerdict } from "./api.js";
import { Calm } from "./frame.js";
import { ended, sentenceOf, several, spanWords, timeWords, VERDICTS, whoWords } from "./words.js";

type EvidenceRow = EvidenceAnswer["rows"][number];

export function Evidence({ gate, workflow, zone, now }: { gate: string; workflow: string; zone: string; now: number }) {
  const answer = useAnswer<Explained>(routeOf(`plan/gates/${encodeURIComponent(gate)}`, [["workflow", workflow]]));
  return (
    <div class="evidence">
      <Answered answer={answer}>{(found) => <EvidenceOf found={found} gate={gate} workflow={workflow} zone={zone} now={now} />}</Answered>
    </div>
  );
}

function EvidenceOf({ found: { status, verdict, evidence, beside, who, history }, gate, workflow, zone, now }: { found: Explained; gate: string; workflow: string; zone: string; now: number }) {
  const numbers = Object.entries(verdict?.thresholds ?? {}).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ");
  const facts: [string, string][] = [
    ["who", status.shown === "pass" ? "" : whoWords(who)], ["since", status.since_ms ? timeWords(zone, status.since_ms) : ""], ["as of", status.as_of_ms ? timeWords(zone, status.as_of_ms) : ""],
    ["good until", status.valid_until_ms ? timeWords(zone, status.valid_until_ms) : ""], ["numbers", numbers ? `${numbers} (${verdict!.profile}, version ${verdict!.version})` : ""],
    ["verdict", verdict?.id ?? ""], ["sha256", verdict?.evidence ?? ""],
  ];
  return (
    <>
      {beside && <p class="hint note">Beside it: {ended(beside)}</p>}
      <dl class="facts">{facts.filter(([, value]) => value).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{["verdict", "sha256"].includes(name) ? <code>{value}</code> : value}</dd></div>)}</dl>
      {history.length > 0 && <History history={history} zone={zone} now={now} />}
      {evidence.map((one) => <OneAnswer key={one.query} answer={one} gate={gate} workflow={workflow} zone={zone} />)}
      {!evidence.length && <Calm>{status.cause === "unbuilt" ? "Nothing is read for it yet: nobody has built this gate. It stays unknown, and may be waived by name and date." : "Nothing was computed of it yet."}</Calm>}
      <p class="row evidence-command"><CopyCommand command={`holdfast plan explain ${gate}${workflow ? ` ${quoted(workflow)}` : ""}`} /></p>
    </>
  );
}

/** What a list has, in the words of its link. */
const LISTS: Record<EvidenceDoor["what"], string> = { runs: "the runs it counts", rows: "the rows it counts", outcomes: "the outcomes it counts", budgets: "the budgets", inbox: "the inbox", evidence: "its evidence" };
/** Columns that name or count something; the first of them that there is leads to it. */
const COUNTS = ["gate", "n", "runs", "calls", "seated"] as const;

function OneAnswer({ answer: { query, params, rows, digest, cut, sql, behind }, gate, workflow, zone }: { answer: EvidenceAnswer; gate: string; workflow: string; zone: string }) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const pages = new Map(rows.map((row, at) => [row, behind.rows[at] || behind.all?.page || ""]));
  const door = COUNTS.find((name) => names.includes(name)) ?? names[0];
  const cell = (name: string) => (row: EvidenceRow) => {
    const shown = <EvidenceCell name={name} row={row} zone={zone} />, page = name === door ? pages.get(row) : "";
    return page ? <a href={page}>{shown}</a> : shown;
  };
  const columns = names.map((name): Column<EvidenceRow> => ({ name, label: name.replace(/_ms$/, "").replaceAll("_", " "), value: (row) => row[name] ?? null, cell: cell(name) }));
  return (
    <section class="answer" data-query={query}>
      <DataTable label={query.replaceAll("_", " ")} columns={columns} rows={rows} file={`evidence-${gate}-${workflow || "organisation"}-${query}`} keyOf={(row) => JSON.stringify(row)} empty="It answered no rows." />
      {behind.all && <p class="row behind"><a class="button" href={behind.all.page}><Glyph name="right" />{LISTS[behind.all.what]}</a><CopyCommand command={behind.all.command} /></p>}
      {behind.all?.note && <p class="hint note">{sentenceOf(behind.all.note)}</p>}
      {cut && <p class="failure">There are more rows than may be read: nothing passes on a part of them.</p>}
      <details><summary>{sql ? "The query" : "How it was reckoned"}, with {several(Object.keys(params).length, "parameter")}; rows <code>sha256 {digest.slice(0, 12)}</code></summary>{sql && <pre tabIndex={0}>{sql}</pre>}<p class="hint">{Object.entries(params).map(([name, value]) => `:${name} = ${value}`).join("   ")}</p><p class="hint">sha256 of the rows as canonical JSON: <code>{digest}</code></p></details>
    </section>
  );
}

/** Times are shown as times; a session is a door to itself. */
function EvidenceCell({ name, row, zone }: { name: string; row: EvidenceRow; zone: string }) {
  const value = row[name];
  if (value === null || value === undefined) return <span class="unknown">none</span>;
  if (name.endsWith("_ms") && typeof value === "number") return value ? <span title={`${value} ms, ${new Date(value).toISOString()}`}>{timeWords(zone, value)}</span> : <>–</>;
  return <>{value === "" ? "–" : value}</>;
}

/** How it stood, the oldest at the left: as wide as it lasted. */
export function History({ history, zone, now }: { history: readonly PastVerdict[]; zone: string; now: number }) {
  const rows = [...history].reverse();
  const spans = rows.map((row, at) => ({ ...row, ms: Math.max(1, (rows[at + 1]?.computed_ms ?? now) - row.computed_ms) }));
  const all = spans.reduce((sum, { ms }) => sum + ms, 0);
  const merged = spans.reduce<typeof spans>((found, span) => { const last = found.at(-1); if (last && last.verdict === span.verdict) last.ms += span.ms; else found.push({ ...span }); return found; }, []);
  return (
    <figure class="history">
      <div class="strip" aria-hidden="true">{merged.map(({ verdict, computed_ms, ms, reason }) => <i key={computed_ms} data-verdict={verdict} style={{ flexGrow: String(Math.max(0.02, ms / all)) }} title={`${VERDICTS[verdict].word} for ${spanWords(ms)}, from ${timeWords(zone, computed_ms)}: ${reason}`} />)}</div>
      <figcaption><span>{timeWords(zone, rows[0]!.computed_ms)}</span><span>now</span></figcaption>
      <details><summary>{several(history.length, "verdict")} on record</summary><ol class="past">{history.map(({ verdict, computed_ms, reason, n }) => <li key={`${computed_ms} ${verdict}`}><span>{timeWords(zone, computed_ms)}</span> <b>{VERDICTS[verdict].word}</b> <span>{ended(reason)} <small>n = {n.toLocaleString("en")}</small></span></li>)}</ol></details>
    </figure>
  );
}
