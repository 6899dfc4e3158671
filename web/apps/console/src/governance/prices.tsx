// Owns changes of prices: what is proposed, what it would change and cost, and who decides with which reason.

import { Button, Glyph } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { type PriceChange, type PriceDiff, routeOf, type Waiver } from "./api.js";
import { type Answer, Answered, Needs, useAnswer } from "./answer.js";
import { exactUsd, Money, Unknown, usd } from "./figures.js";
import { Consequence, CopyCommand, MoneyFrame } from "./frame.js";
import { timeIn } from "./rows.js";
import { type Column, DataTable } from "./table.js";

const KINDS: Record<string, string> = { override: "a price of our own", withdraw: "taking back a price of our own", catalogue: "another published catalogue", card: "a rate card", end_card: "the end of a rate card" };

interface Catalogue { hash: string; source: string; models: number; overrides: { id: string; provider: string; model: string; note: string }[]; proposed: number }

export function PricesPage({ query }: { query: URLSearchParams }) {
  return (
    <MoneyFrame page="prices" title="Prices" query={query} periods={false} command={() => "holdfast prices changes"} question="Which changes of prices wait, and what would they cost?">
      {(_, { time_zone }) => <Changes zone={time_zone} />}
    </MoneyFrame>
  );
}

function Changes({ zone }: { zone: string }) {
  const answer = useAnswer<PriceChange[]>(routeOf("prices/changes"));
  const catalogue = useAnswer<Catalogue>(routeOf("prices/catalogue"));
  const waivers = useAnswer<Waiver[]>(routeOf("prices/waivers"));
  const [deciding, setDeciding] = useState<ReadonlySet<string>>(new Set()); // stays while its receipt is read
  const time = timeIn(zone);
  const columns: Column<PriceChange>[] = [
    { name: "kind", label: "change", kind: "wide", value: ({ kind }) => kind, cell: (change) => <><b>{titleOf(change)}</b> <small>{change.why}</small></> }, { name: "id", label: "id", value: ({ id }) => id, hidden: true },
    { name: "state", label: "decided", value: ({ state }) => state, cell: ({ state, alone }) => <span class="decision" data-state={state}><Glyph name={state === "approved" ? "completed" : "close"} />{state}{alone ? <small> by the one who proposed it</small> : null}</span> },
    { name: "proposed_by", label: "proposed by", value: ({ by }) => by }, { name: "decided_by", label: "by", value: ({ decided_by }) => decided_by }, { name: "words", label: "because", value: ({ words }) => words },
    { name: "decided", label: "when", value: ({ decided_ms }) => (decided_ms === null ? "" : new Date(decided_ms).toISOString()), order: ({ decided_ms }) => decided_ms ?? 0, cell: ({ decided_ms }) => (decided_ms === null ? "–" : time(decided_ms)) },
  ];
  return (
    <>
      <Answered answer={answer}>{(changes) => {
        const waiting = changes.filter(({ id, state }) => state === "proposed" || deciding.has(id));
        return (
          <>
            <section class="proposals" aria-label="What needs somebody">{waiting.length ? waiting.map((change) => <Proposal key={change.id} change={change} answer={answer} zone={zone} keep={(id, keeps) => setDeciding((before) => new Set(keeps ? [...before, id] : [...before].filter((other) => other !== id)))} />) : <p class="calm">No change waits. What the catalogue says holds until somebody proposes another price: <code>holdfast prices propose</code></p>}</section>
            <DataTable label="Decided" columns={columns} rows={changes.filter(({ state }) => state !== "proposed")} file="price-changes" keyOf={({ id }) => id} empty="Nobody has decided anything yet." />
          </>
        );
      }}</Answered>
      <Answered answer={waivers}>{(found) => <DataTable label="Models without a price that may be called all the same" rows={found} file="waivers" keyOf={({ id }) => id} empty="There is no waiver." columns={[
        { name: "model", label: "model", kind: "wide", value: ({ model }) => model }, { name: "workflow", label: "workflow", value: ({ workflow }) => workflow, cell: ({ workflow }) => workflow || "all" }, { name: "why", label: "because", value: ({ why }) => why }, { name: "by", label: "by", value: ({ by }) => by },
        { name: "until", label: "until", value: ({ until_ms }) => new Date(until_ms).toISOString(), order: ({ until_ms }) => until_ms, cell: ({ until_ms }) => time(until_ms) },
      ]} />}</Answered>
      <Answered answer={catalogue}>{({ hash, source, models, overrides }) => <p class="hint">In force: {source}, {models.toLocaleString()} models, {overrides.length} prices of our own; <code title={hash}>{hash.slice(0, 12)}</code> stands in every row that it priced.</p>}</Answered>
    </>
  );
}

function titleOf({ kind, document }: PriceChange): string {
  const what = [document["provider"], document["model"], document["upstream"]].filter((part) => typeof part === "string").join("/");
  return `${KINDS[kind] ?? kind}${what ? ` for ${what}` : ""}`;
}

function Proposal({ change, answer, zone, keep }: { change: PriceChange; answer: Answer<PriceChange[]>; zone: string; keep: (id: string, keeps: boolean) => void }) {
  const operator = useConsole();
  const diff = useAnswer<PriceDiff>(change.state === "proposed" ? routeOf(`prices/changes/${encodeURIComponent(change.id)}/diff`) : "");
  const [action, setAction] = useState<"" | "approve" | "reject">("");
  const decide = (verb: "approve" | "reject") => async (words: string) => {
    keep(change.id, true);
    try {
      const decided = await operator.request<PriceChange>(routeOf(`prices/changes/${encodeURIComponent(change.id)}/${verb}`), "POST", { words });
      answer.refresh();
      return <>{decided.state} by {decided.decided_by} at {timeIn(zone)(decided.decided_ms!)}: “{decided.words}” <small>{decided.id}</small></>;
    } catch (refusal) {
      keep(change.id, false);
      throw refusal;
    }
  };
  const close = () => { setAction(""); keep(change.id, false); answer.refresh(); };
  return (
    <article class="proposal" data-change={change.id}>
      <header><h2>{titleOf(change)}</h2><p class="hint">{change.by} proposed it on {timeIn(zone)(change.proposed_ms)}: “{change.why}”</p></header>
      {change.state === "proposed" && <Answered answer={diff}>{(found) => <DiffView diff={found} file={change.id} />}</Answered>}
      {action ? (
        <Consequence key={action} action={action === "approve" ? "let it hold" : "reject it"} danger={action === "reject"} reason="because" cancel={close} perform={decide(action)}
          says={action === "approve" ? <>From its date on, every call is priced so; rows that are written keep the price they have. {diff.data ? `On what was used in the last 30 days it would have been ${usd(Math.abs(diff.data.after_nano - diff.data.before_nano))} ${diff.data.after_nano < diff.data.before_nano ? "less" : "more"}.` : ""} The one who proposed it may not approve it where there is somebody else.</> : "Nothing changes; the proposal stays on record with your reason."} />
      ) : !operator.may("catalogue") ? <Needs right="catalogue" roles="finops" to="decide" /> : <p class="row"><Button icon="completed" label="approve" kind="primary" onClick={() => setAction("approve")} /><Button icon="close" label="reject" kind="danger" onClick={() => setAction("reject")} /><CopyCommand command={`holdfast prices approve ${change.id}`} /></p>}
    </article>
  );
}

/** Before and after, line by line, and what it means for what was used. */
function DiffView({ diff, file }: { diff: PriceDiff; file: string }) {
  type PriceLine = PriceDiff["lines"][number];
  type PriceEffect = PriceDiff["effects"][number];
  const lines: Column<PriceLine>[] = [
    { name: "model", label: "model", kind: "wide", value: ({ provider, model }) => [provider, model].filter(Boolean).join("/"), cell: ({ provider, model, used }) => <>{[provider, model].filter(Boolean).join("/")}{used ? <small> in use</small> : null}</> }, { name: "tier", label: "tier", value: ({ tier }) => tier }, { name: "price", label: "price of", value: ({ name }) => name, cell: ({ name }) => name.replaceAll("_", " ") },
    { name: "before", label: "before", kind: "number", value: ({ before }) => before, cell: ({ before }) => (before ? <del>{before}</del> : "–") }, { name: "after", label: "after", kind: "number", value: ({ after }) => after, cell: ({ after }) => (after ? <ins>{after}</ins> : "–") },
  ];
  const effects: Column<PriceEffect>[] = [
    { name: "model", label: "model", kind: "wide", value: ({ model }) => model, cell: ({ model, upstream }) => <>{model} <small>{upstream}</small></> }, { name: "requests", label: "requests", kind: "number", value: ({ requests }) => requests },
    { name: "before_usd", label: "before", kind: "number", value: ({ before_nano }) => (before_nano === null ? null : exactUsd(before_nano)), cell: ({ before_nano }) => <Money nano={before_nano} /> }, { name: "after_usd", label: "after", kind: "number", value: ({ after_nano }) => (after_nano === null ? null : exactUsd(after_nano)), cell: ({ after_nano }) => <Money nano={after_nano} /> },
  ];
  return (
    <>
      <dl class="figures"><div class="first"><dt>effect on the last 30 days of use</dt><dd>{diff.effects.length ? <Money nano={diff.after_nano - diff.before_nano} signed basis="estimated" /> : <small>none: nothing that it changes was used</small>}{diff.unknown > 0 && <> <Unknown why="there is no price before or after">{diff.unknown} unknown</Unknown></>}</dd></div><div><dt>prices that change</dt><dd>{diff.count.toLocaleString()} <small>of {diff.models === 1 ? "one model" : `${diff.models.toLocaleString()} models`}</small></dd></div></dl>
      <DataTable label="Prices, USD for a million tokens where it is not said otherwise" columns={lines} rows={diff.lines} file={`${file}-prices`} keyOf={({ provider, model, tier, name }) => `${provider} ${model} ${tier} ${name}`} empty="No price changes." />
      {diff.effects.length > 0 && <DataTable label="What was used, at either prices" columns={effects} rows={diff.effects} file={`${file}-effect`} keyOf={({ upstream, model }) => `${upstream} ${model}`} empty="" />}
    </>
  );
}
