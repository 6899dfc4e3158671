// Owns the manifests that a workflow had, and rolling back to one of them.

import { Button } from "holdfast-look";
import { useEffect, useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { Answered, useAnswer } from "../governance/answer.js";
import { routeOf } from "../governance/api.js";
import { Consequence } from "../governance/frame.js";
import { type Column, DataTable } from "../governance/table.js";
import { PlanPart } from "./frame.js";
import { timeWords, whoWords } from "./words.js";
import type { ManifestVersion } from "./workflow-api.js";

export function Versions({ workflow, current, zone, changed }: { workflow: string; current: string; zone: string; changed: () => void }) {
  const operator = useConsole();
  const answer = useAnswer<{ versions: ManifestVersion[] }>(routeOf(`workflows/named/${encodeURIComponent(workflow)}/versions`));
  useEffect(() => { if (answer.data) answer.refresh(); }, [current]);
  const [choice, setChoice] = useState("");
  const columns: Column<ManifestVersion>[] = [
    { name: "version", label: "version", kind: "wide", value: ({ version }) => version, cell: ({ version, manifest }) => <details><summary><code>{version}</code>{version === current ? <b> holds</b> : ""}</summary><pre tabIndex={0}>{JSON.stringify(manifest, null, 2)}</pre></details> },
    { name: "at", label: "applied", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: ({ at_ms }) => timeWords(zone, at_ms) },
    { name: "by", label: "by", value: ({ by }) => by, cell: ({ by }) => whoWords(by) },
    { name: "back", label: "", value: () => null, cell: ({ version }) => (version !== current && operator.may("budget") ? <Button icon="again" label="roll back …" class="roll-back" onClick={() => setChoice(version)} /> : null) },
  ];
  const below = ({ version }: ManifestVersion) => (choice === version ? <Consequence says={<>The manifest <code>{version}</code> holds again in place of <code>{current}</code>: models, tools, prompts and limits are judged by it from the next run on. State, mode, stage and people stay as they are: it lifts nothing, and brings nobody back. What runs goes on.</>} action={`roll back to ${version}`} danger reason="why" cancel={() => setChoice("")} perform={async (reason) => {
    const found = await operator.request<{ workflow: string; before: string; after: string; state: string }>(routeOf(`operations/workflows/${encodeURIComponent(workflow)}/rollback`), "POST", { version, reason });
    changed();
    return <>{found.workflow} has the manifest <code>{found.after}</code> again, in place of <code>{found.before}</code>; it is still {found.state}.</>;
  }} /> : null);
  return (
    <PlanPart title="Manifest" count={current ? <>version <code>{current}</code></> : undefined}>
      <Answered answer={answer} rows={2}>{({ versions }) => <DataTable label="Versions, the newest first" columns={columns} rows={versions} file={`versions-${workflow}`} keyOf={({ version }) => version} below={below} empty="It was registered without a manifest: holdfast workflow init" />}</Answered>
    </PlanPart>
  );
}
