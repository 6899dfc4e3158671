// Owns the inbox: what one person has to do, ranked; an item closes when its condition is computed as gone, and not before.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { Answered, useAnswer } from "../governance/answer.js";
import { type OrganisationDay, routeOf } from "../governance/api.js";
import { quoted } from "../governance/frame.js";
import type { Standing } from "./api.js";
import { Calm, PlanFrame, PlanPart } from "./frame.js";
import { VerdictBadge } from "./verdict.js";
import { dayWords, dueWords, ended, inboxAddress, planAddress, sentenceOf, several, spanWords, whoWords } from "./words.js";
import type { InboxItem, InboxPageFacts, RoleBrief } from "./workflow-api.js";

const SEVERITIES: Record<InboxItem["severity"], string> = { high: "high", normal: "", low: "can wait" };

export function InboxPage({ query }: { query: URLSearchParams }) {
  const operator = useConsole();
  const person = query.get("person") ?? "";
  const everybody = person === "*";
  const limit = query.get("limit") ?? "";
  const me = whoWords(operator.actor);
  const page = useAnswer<InboxPageFacts>(routeOf("inbox", [["person", person], ["limit", limit]]));
  const organisation = useAnswer<OrganisationDay>(routeOf("organisation"));
  const whose = everybody ? "everybody" : person || me;
  const controls = <span class="panes choice-of-whose"><a href={planAddress("inbox")} aria-current={!person ? "page" : undefined}>mine</a><a href={planAddress("inbox", "", { person: "*" })} aria-current={everybody ? "page" : undefined}>everybody's</a></span>;
  return (
    <PlanFrame page="inbox" title="Inbox" controls={controls} command={`holdfast inbox list${person ? ` --person ${quoted(person)}` : ""}`} question={<>What does <b>{whose}</b> have to do, why, and by when?</>}>
      <Answered answer={page} rows={6}>{(found) => <InboxOf found={found} zone={organisation.data?.time_zone ?? ""} mine={!everybody} limit={limit} person={person} changed={page.refresh} />}</Answered>
    </PlanFrame>
  );
}

function InboxOf({ found: { items, more, failures }, zone, mine, limit, person, changed }: { found: InboxPageFacts; zone: string; mine: boolean; limit: string; person: string; changed: () => void }) {
  const workflows = [...new Set(items.map(({ workflow }) => workflow).filter(Boolean))];
  const late = items.filter(({ due_ms }) => due_ms && due_ms < Date.now()).length;
  return (
    <>
      {Object.entries(failures).map(([source, why]) => <p key={source} class="stale" role="status"><b>{source} says nothing now.</b> {ended(why)} Its items stay as they were.</p>)}
      <PlanPart title={mine ? "To do" : "To do, of everybody"} count={items.length ? [several(items.length, "item"), late ? `${late} late` : "", more ? `${more} more` : ""].filter(Boolean).join(", ") : undefined}>
        {items.length ? <ol class="inbox">{items.map((item) => <Item key={item.id} item={item} zone={zone} named={!mine} changed={changed} />)}</ol> : <Calm>Nothing waits{mine ? " for you" : ""}. An item appears when its condition is computed, and goes when it is computed as over.</Calm>}
        {more > 0 && !limit && <p class="more"><a class="button" href={planAddress("inbox", "", { person, limit: "200" })}>show {more} more</a></p>}
      </PlanPart>
      {workflows.length > 0 && <Briefs workflows={workflows} />}
    </>
  );
}

function Item({ item, zone, named, changed }: { item: InboxItem; zone: string; named: boolean; changed: () => void }) {
  const operator = useConsole();
  const [busy, setBusy] = useState(false);
  const [answer, setAnswer] = useState("");
  const due = dueWords(zone, item.due_ms, Date.now());
  const stands: Standing = item.stops ? "fail" : "unknown";
  const done = async () => {
    setBusy(true);
    try {
      const { closed, why } = await operator.request<{ item: InboxItem; closed: boolean; why: string }>(routeOf(`inbox/items/${encodeURIComponent(item.id)}/done`), "POST");
      if (closed) operator.showNotice(`Done, as computed just now. ${item.title}`);
      setAnswer(closed ? "It is gone, as computed just now." : `It is still so, as computed just now: ${why || item.why}`);
      changed();
    } catch (refusal) {
      const { message, fix } = refusal as { message: string; fix?: string };
      setAnswer([message, fix].filter(Boolean).join(" "));
    }
    setBusy(false);
  };
  return (
    <li data-row data-item={item.id} data-severity={item.severity} data-stops={item.stops ? "yes" : undefined} tabIndex={-1}>
      <header>{item.stops && <VerdictBadge shown={stands} word="stops it" />}<h3><a href={inboxAddress(item)}>{item.title}</a></h3><span class="due" data-late={due.late ? "yes" : undefined}>{due.text}</span></header>
      <p><b>{ended(item.what)}</b> {sentenceOf(item.why)}</p>
      <p class="hint">{[named ? whoWords(item.person || item.role) : "", SEVERITIES[item.severity], item.minutes ? `about ${several(item.minutes, "minute")}` : "", item.opened_ms ? `here for ${spanWords(Date.now() - item.opened_ms)}, since ${dayWords(zone, item.opened_ms)}` : "", item.reopened ? `came back ${several(item.reopened, "time")}` : ""].filter(Boolean).join(" · ")}</p>
      <div class="row gate-doors"><Button icon="completed" label={busy ? "computing …" : "done: compute it"} class="done" title="Ask for it to be computed again now; it closes when it is gone" disabled={busy} onClick={() => void done()} /></div>
      {answer && <p class="stale computed" role="status">{answer}</p>}
    </li>
  );
}

/** Hours needed beside hours allotted, as the brief of the role that is missing. */
function Briefs({ workflows }: { workflows: readonly string[] }) {
  return <PlanPart title="Hours, and the role that is missing"><div class="people">{workflows.map((workflow) => <Brief key={workflow} workflow={workflow} />)}</div></PlanPart>;
}

function Brief({ workflow }: { workflow: string }) {
  const brief = useAnswer<RoleBrief>(routeOf(`inbox/brief/${encodeURIComponent(workflow)}`));
  return (
    <article class="person brief"><h3>{workflow}{brief.data ? <small> {brief.data.short_minutes ? <b class="stops">{(brief.data.short_minutes / 60).toFixed(1)} h a week short</b> : "enough hours"}</small> : null}</h3>
      <Answered answer={brief} rows={2}>{(found) => <pre class="role-brief" tabIndex={0}>{found.brief}</pre>}</Answered>
    </article>
  );
}
