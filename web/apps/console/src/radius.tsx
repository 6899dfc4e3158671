// Owns what the console shows beside everything that somebody approves: what the workflow could do wrong, and its page.

import { Radius, type RadiusFacts } from "holdfast-look";

import { useConsole } from "./console.js";

const ROOT = "x/governance";
const PAGES = ""; // of this console

/** For what a run of a session wants to do; for what no run does, without one. */
export function RunRadius({ session, run }: { session: string; run: string | undefined }) {
  const operator = useConsole();
  const path = `${ROOT}/workflows/radius/${encodeURIComponent(session)}${run ? `?run=${encodeURIComponent(run)}` : ""}`;
  return <Radius of={path} pages={PAGES} ask={operator.governed ? () => operator.request<RadiusFacts>(path) : null} />;
}

/** For a request to raise a budget: nothing where it concerns no single workflow. */
export function RequestRadius({ id }: { id: string }) {
  const operator = useConsole();
  const path = `${ROOT}/budgets/requests/${encodeURIComponent(id)}/radius`;
  return <Radius of={path} pages={PAGES} ask={async () => (await operator.request<{ radius: RadiusFacts | null }>(path)).radius} />;
}

/** For something of a workflow, on pages that only those open who may see what is spent. */
export function WorkflowRadius({ workflow }: { workflow: string }) {
  const operator = useConsole();
  const name = encodeURIComponent(workflow);
  const path = `${ROOT}/workflows/named/${name}/blast`;
  return <Radius of={path} pages={PAGES} ask={async () => ({ workflow, sentence: (await operator.request<{ sentence: string }>(path)).sentence, page: `#/plan/workflow/${name}` })} />;
}
