// Owns the journal's page: the runs that a number of evidence counts, the newest first, each a door to its session at that run.

import { Button } from "holdfast-look";

import { Answered, Failure, useAnswer, usePages } from "../governance/answer.js";
import { type OrganisationDay, routeOf } from "../governance/api.js";
import { Unknown } from "../governance/figures.js";
import { quoted } from "../governance/frame.js";
import { sessionAddress, timeIn } from "../governance/rows.js";
import { type Column, DataTable } from "../governance/table.js";
import { PlanFrame } from "./frame.js";
import { planAddress, timeWords, whoWords, workflowAddress } from "./words.js";
import type { JournalPage, JournalRun } from "./workflow-api.js";

const PAGE = "200";
/** What may be asked of a run, and how it is said with yes and with no. */
const FLAGS: readonly (readonly [name: string, yes: string, no: string])[] = [
  ["top", "began by people or programs", "began by other runs"], ["interactive", "with somebody there", "with nobody there"], ["seated", "that somebody waited for", "that nobody waited for"],
  ["memory", "that read what others left", "that read nothing others left"], ["side_effects", "with side effects", "without side effects"], ["unclassified", "with tools of no class", "without tools of no class"],
  ["lost", "of which it is not known what they did", "of which it is known what they did"], ["test", "that are tests", "that are no tests"],
];

export function RunsPage({ query }: { query: URLSearchParams }) {
  const workflow = query.get("workflow") ?? "";
  const organisation = useAnswer<OrganisationDay>(routeOf("organisation"));
  const options = [...query].filter(([name, value]) => name !== "workflow" && value).map(([name, value]) => `--${name.replaceAll("_", "-")} ${quoted(value)}`);
  return (
    <PlanFrame page="runs" title="Runs" question={<>Which runs {workflow ? <>of <a href={workflowAddress(workflow)}>{workflow}</a> </> : null}is the number made of?</>} command={["holdfast workflow runs", ...(workflow ? [quoted(workflow)] : []), ...options].join(" ")}>
      <Answered answer={organisation}>{({ time_zone }) => <><Filter query={query} zone={time_zone} /><RunList key={query.toString()} query={query} zone={time_zone} /></>}</Answered>
    </PlanFrame>
  );
}

/** What is asked for; each part of it can be left out. */
function Filter({ query, zone }: { query: URLSearchParams; zone: string }) {
  const since = Number(query.get("since_ms")), until = Number(query.get("until_ms"));
  const parts: [names: string[], words: string][] = [];
  if (query.get("recorded") === "no") parts.push([["recorded"], "that only the ledger has"]);
  if (since || until) parts.push([["since_ms", "until_ms"], `queued ${since ? `from ${timeWords(zone, since)} ` : ""}${until ? `until ${timeWords(zone, until)}` : ""}`.trim()]);
  for (const [name, yes, no] of FLAGS) if (query.get(name)) parts.push([[name], query.get(name) === "yes" ? yes : no]);
  if (!parts.length) return null;
  const without = (names: readonly string[]): string => planAddress("runs", "", Object.fromEntries([...query].filter(([name]) => !names.includes(name))));
  return <p class="filters">only {parts.map(([names, words]) => <a key={names[0]} class="button" href={without(names)} aria-label={`${words}: show others, too`}>{words} <span aria-hidden="true">×</span></a>)}</p>;
}

function RunList({ query, zone }: { query: URLSearchParams; zone: string }) {
  const { rows: runs, page, older } = usePages<JournalPage, JournalRun>((cursor) => routeOf("workflows/runs", [...query, ["limit", PAGE], ["cursor", cursor]]), (found) => found.runs);
  const time = timeIn(zone);
  const columns: Column<JournalRun>[] = [
    { name: "queued", label: "queued", value: ({ queued_ms }) => new Date(queued_ms).toISOString(), order: ({ queued_ms }) => queued_ms, cell: ({ queued_ms }) => time(queued_ms) },
    { name: "session", label: "session", kind: "wide", value: ({ session_name }) => session_name || null, cell: (run) => (run.session_name ? <a href={sessionAddress({ session: run.session_name, run: run.run })}>{run.session_name}</a> : <Unknown why="the session was deleted, and nothing leads to it any more">deleted</Unknown>) },
    { name: "run", label: "run · agent", value: ({ run }) => run, cell: ({ run, agent, parent }) => <><code>{run}</code> <small>{[agent, parent ? `below ${parent}` : ""].filter(Boolean).join(" · ")}</small></> },
    { name: "agent", label: "agent", value: ({ agent }) => agent, hidden: true },
    { name: "workflow", label: "workflow", value: ({ workflow }) => workflow, cell: ({ workflow, version }) => <>{workflow} <small>{version}</small></> },
    { name: "did", label: "did", value: didWords, cell: (run) => (isLost(run) ? <Unknown why="it has not ended, or its events could not be read">not known</Unknown> : didWords(run)) },
    { name: "by", label: "for", value: ({ actor }) => actor, cell: ({ actor, interactive, usage, test }) => <>{actor ? whoWords(actor) : "–"} <small>{[interactive ? "was there" : "nobody there", usage, test ? "test" : ""].filter(Boolean).join(" · ")}</small></> },
    { name: "status", label: "ended as", value: ({ status }) => status || null, cell: ({ status }) => status || <small>open</small> },
  ];
  return (
    <>
      {page.data || runs.length ? <p class="sum">{page.data && !page.data.more ? (runs.length === 1 ? "There is one." : `There are ${runs.length.toLocaleString("en")}.`) : `The newest ${runs.length.toLocaleString("en")}.`}</p> : null}
      {runs.length || page.data ? <DataTable label="Runs" columns={columns} rows={runs} file="runs" keyOf={({ id, session }) => `${id} ${session}`} empty="No run fits." /> : null}
      {page.error ? <Failure error={page.error} retry={page.refresh} /> : !page.data ? <Answered answer={page}>{() => null}</Answered> : page.data.next ? <p class="more"><Button icon="down" label="older runs" onClick={older} /></p> : null}
    </>
  );
}

const isLost = ({ lost, counted }: JournalRun): boolean => lost || !counted;

function didWords(run: JournalRun): string {
  if (isLost(run)) return "not known";
  const counts: [number, string][] = [[run.side_effects, "side effects"], [run.unclassified, "of no class"], [run.memory, "read what others left"]];
  const words = counts.filter(([count]) => count).map(([count, what]) => `${count.toLocaleString("en")} ${what}`).join(", ");
  return words || (run.tools ? `${run.tools.toLocaleString("en")} calls` : "called nothing");
}
