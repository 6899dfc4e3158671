// Owns the line beside an approval that says what the workflow behind it could do wrong, and how fast.

import { useEffect, useState } from "preact/hooks";

/** The extension of a server that knows it; `welcome.extensions` says whether it is there, and where it is not nobody asks. */
export const GOVERNANCE = "governance";
const OFTEN_MS = 60_000;
const SOON_MS = 2_000;
const UNKNOWN = "What this could do is not known just now: the server did not say.";

/** `ApprovalRadius` of the server: what is left out of it, whoever asks may not know. */
export interface RadiusFacts {
  workflow: string;
  sentence: string;
  /** Of the workflow, below the console's address; "" for whoever may not open it. */
  page: string;
}

/**
 * What is asked while the line is shown. Its place is kept until it is answered; nothing is shown where there is nothing to say.
 * `ask` is null where the server has no governance; `of` changes when it asks of something else.
 */
export function Radius({ of, ask, pages }: { of: string; ask: (() => Promise<RadiusFacts | null>) | null; pages: string }) {
  const [state, setState] = useState<{ of: string; facts: RadiusFacts | null } | null>(null);
  useEffect(() => {
    if (ask === null) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let closed = false;
    let soonMs = SOON_MS;
    const look = async () => {
      const facts = document.hidden ? undefined : await ask().catch(() => ({ workflow: "", sentence: UNKNOWN, page: "" }));
      if (closed) return;
      if (facts !== undefined) setState({ of, facts });
      if (facts === null) return;
      timer = setTimeout(() => void look(), facts === undefined || facts.workflow ? OFTEN_MS : soonMs);
      soonMs = Math.min(OFTEN_MS, soonMs * 2); // a run is on record a moment after it began; what stays unknown is asked less and less
    };
    void look();
    return () => {
      closed = true;
      clearTimeout(timer);
    };
  }, [of, ask === null]);
  if (ask === null) return null;
  if (state?.of !== of) return <span class="radius" aria-busy="true"><span class="radius-words">…</span></span>;
  if (state.facts === null) return null;
  const { workflow, sentence, page } = state.facts;
  const rest = workflow && sentence.startsWith(workflow) ? sentence.slice(workflow.length) : sentence;
  return (
    <span class="radius" role="note" aria-label="What the workflow could do wrong">
      <span class="radius-words">{rest === sentence ? null : page ? <a href={pages + page}>{workflow}</a> : <b>{workflow}</b>}{rest}</span>
    </span>
  );
}
