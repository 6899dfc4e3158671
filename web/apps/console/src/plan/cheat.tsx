// Owns "try to cheat": moves that make a check look good, each tried on a copy; what an ordinary dashboard says of it stands beside what the plan says.

import { Button, type RequestError } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { Failure } from "../governance/answer.js";
import { CHEATS, type CheatMove, type CheatPlayed, type NaiveCheck, type PlanSays, useCheats } from "./cheat-api.js";
import { Calm, PlanFrame, PlanPart } from "./frame.js";
import { VerdictBadge } from "./verdict.js";
import { ended, sentenceOf } from "./words.js";

export function CheatPage() {
  const moves = useCheats();
  return (
    <PlanFrame page="cheat" title="Try to cheat" command={`curl -X POST -H "Authorization: Bearer $HOLDFAST_TOKEN" "${location.origin}/v1/${CHEATS}/NAME"`} question="Can the plan be made to look greener than things are? Each button really does it, with the product's own services, on a copy of the company's store that is thrown away afterwards.">
      <PlanPart title="Moves" count={moves.length || undefined}>
        {moves.length ? <ol class="cheats">{moves.map((move) => <Move key={move.name} move={move} />)}</ol> : <Calm>This server has no company to cheat, or you may not audit it: <code>holdfast demo-enterprise</code> has one.</Calm>}
      </PlanPart>
    </PlanFrame>
  );
}

function Move({ move }: { move: CheatMove }) {
  const operator = useConsole();
  const [busy, setBusy] = useState(false);
  const [played, setPlayed] = useState<CheatPlayed | null>(null);
  const [error, setError] = useState<RequestError | null>(null);
  const cheat = async () => {
    setBusy(true);
    setError(null);
    try {
      setPlayed(await operator.request<CheatPlayed>(`${CHEATS}/${encodeURIComponent(move.name)}`, "POST"));
    } catch (refusal) {
      setPlayed(null);
      setError(refusal as RequestError);
    }
    setBusy(false);
  };
  return (
    <li class="cheat" data-move={move.name}>
      <header><span class="chip-word">gate {move.gate}</span><h3>{move.title}</h3><Button icon={played ? "again" : "running"} label={busy ? "cheating …" : played ? "cheat again" : "cheat"} class="cheat-now" disabled={busy} onClick={() => void cheat()} /></header>
      <p>{move.does}</p>
      {error && <Failure error={error} retry={() => void cheat()} />}
      {played && <Result played={played} />}
      <p class="hint">Set up for it, in the copy: {move.setting}</p>
    </li>
  );
}

function Result({ played: { move, naive, naive_before, before, after } }: { played: CheatPlayed }) {
  return (
    <div class="cheat-result" role="status">
      <section data-verdict={naive.green ? "pass" : "fail"} aria-label="An ordinary dashboard">
        <header><h4>An ordinary dashboard</h4><Green check={naive} /></header>
        <p>{sentenceOf(naive.reason)}</p>
        <p class="hint">Before: <Green check={naive_before} /> {ended(naive_before.reason)}</p>
      </section>
      <section data-verdict={after.verdict} aria-label="The plan">
        <header><h4>The plan</h4><VerdictBadge shown={after.verdict} /></header>
        <p>{sentenceOf(after.reason)}</p>
        <p class="hint">Before: <Says says={before} /></p>
      </section>
      <p class="counter"><b>Why it does not work.</b> {move.counter}</p>
    </div>
  );
}

/** An ordinary dashboard knows two colours. */
const Green = ({ check: { green } }: { check: NaiveCheck }) => <VerdictBadge shown={green ? "pass" : "fail"} word={green ? "green" : "red"} />;
const Says = ({ says: { verdict, reason } }: { says: PlanSays }) => <><VerdictBadge shown={verdict} /> {ended(reason)}</>;
