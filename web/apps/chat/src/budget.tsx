// Owns how the page says that a budget brakes an answer: whose money it is, who can give more, and that somebody was asked.

import { Button, clock, Glyph, nameOf, nowMs } from "holdfast-look";
import { ended, type ActivityItem, type RunState } from "holdfast-ai";
import { useEffect, useState } from "preact/hooks";

import type { MoreAsked } from "./chat.js";
import { useChat } from "./context.js";

const TICK_MS = 1_000;
const DAY_MS = 86_400_000;

/** Content of an activity of the kind `budget` (docs/reference/events.md). */
export interface BudgetFacts {
  stage: "asked" | "resumed" | "ended";
  policy: "error" | "truncate" | "ask";
  text: string;
  budget?: string;
  payer?: string;
  decider?: string;
  spent_usd?: string;
  /** What other calls under way hold, and what this answer would come to. */
  held_usd?: string;
  need_usd?: string;
  cap_usd?: string;
  reopens_ms?: number;
  until_ms?: number;
}

/** What an activity says of a budget; null for any other. */
export function budgetOf(item: ActivityItem): BudgetFacts | null {
  const content = item.content as Partial<BudgetFacts> | null;
  const isBudget = item.name === "budget" && typeof content === "object" && content !== null && typeof content.text === "string";
  return isBudget && ["asked", "resumed", "ended"].includes(content.stage ?? "") ? (content as BudgetFacts) : null;
}

/** Whether a run ended by a budget that its own panel tells about. */
export const isToldByPanel = (run: RunState): boolean => run.cancel?.by === "policy:budget" || (run.error?.code ?? "").startsWith("budget.");

/** At the place where an answer was braked: a calm panel while it matters, one quiet line once it does not any more. */
export function Budget({ item, facts, run }: { item: ActivityItem; facts: BudgetFacts; run: RunState | undefined }) {
  const over = run === undefined || ended(run);
  if (facts.stage === "resumed") return <Quiet id={item.id}>{named(facts)} was raised; the answer went on.</Quiet>;
  if (facts.stage === "asked" && over) return <Quiet id={item.id}>{named(facts)} was spent; the answer waited for more when it ended.</Quiet>;
  return facts.stage === "asked" ? <Waiting item={item} facts={facts} /> : <Ended item={item} facts={facts} run={run} />;
}

const Quiet = ({ id, children }: { id: string; children: preact.ComponentChildren }) => (
  <p class="budget-line" role="status" data-id={id}><Glyph name="completed" /><span>{children}</span></p>
);

function Waiting({ item, facts }: { item: ActivityItem; facts: BudgetFacts }) {
  const { me } = useChat();
  const until = facts.until_ms;
  return (
    <section class="budget" data-id={item.id} data-stage="asked">
      <p role="status"><Glyph name="waiting" /><span>
        Waiting: {spent(facts)} {facts.decider === me ? "You are" : `${whoDecides(facts)} is`} asked to raise it{until === undefined ? "." : `; without an answer by ${moment(until)} the answer ends here.`}
      </span></p>
      {until !== undefined && <TimeLeft until={until} />}
    </section>
  );
}

/** Counts down beside the sentence, and is not read out every second. */
function TimeLeft({ until }: { until: number }) {
  const [now, setNow] = useState(nowMs());
  useEffect(() => {
    const timer = setInterval(() => setNow(nowMs()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.round((until - now) / 1_000));
  const words = seconds >= 3_600 ? `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  return <p class="left" role="timer" aria-live="off">{words} left</p>;
}

function Ended({ item, facts, run }: { item: ActivityItem; facts: BudgetFacts; run: RunState | undefined }) {
  const chat = useChat();
  const request = useMoreAsked(item.id);
  const mine = facts.decider !== undefined && facts.decider === chat.me;
  const asks = facts.budget !== undefined && run !== undefined && !mine && request?.state !== "asked";
  return (
    <section class="budget" data-id={item.id} data-stage="ended">
      <p role="status"><Glyph name="stop" /><span>{facts.policy === "truncate" ? "Cut short" : "Stopped"}: {spent(facts)} {mine ? "You can raise it." : facts.decider ? `${whoDecides(facts)} can raise it.` : null}{reopens(facts)}</span></p>
      {request && <p class="decision" role="status" data-state={request.state}>{requestWords(request, facts)}</p>}
      {asks && (
        <div class="row">
          {/* never `disabled`: that would take the focus away from whoever is there by keyboard */}
          <Button icon="hand" label={request?.state === "sending" ? "Asking …" : "Ask for more"} aria-disabled={request?.state === "sending"} onClick={() => void chat.askForMore(item.id, facts.budget!, run)} />
        </div>
      )}
    </section>
  );
}

/** What became of asking for more; drawn again when it changes, though the item does not. */
function useMoreAsked(activity: string): MoreAsked | undefined {
  const chat = useChat();
  const [request, setRequest] = useState(chat.moreAsked.get(activity));
  useEffect(() => {
    const look = () => setRequest(chat.moreAsked.get(activity));
    chat.addEventListener("change", look);
    return () => chat.removeEventListener("change", look);
  }, [chat, activity]);
  return request;
}

function requestWords({ state, text }: MoreAsked, facts: BudgetFacts): string {
  if (state === "asked") return `Asked, waiting for ${whoDecides(facts)}.`;
  return state === "refused" ? text : "Asking …";
}

const named = ({ budget }: BudgetFacts) => (budget === undefined ? <>The budget</> : <>The budget <em>{budget}</em></>);

/** The budget, who pays, and what was spent of how much; the gateway's own sentence where no budget is named. */
function spent(facts: BudgetFacts) {
  const { budget, payer, spent_usd, held_usd, need_usd, cap_usd, text } = facts;
  if (budget === undefined) return <>{text.replace(/\.?$/, ".")}</>;
  const paid = payer ? ` (paid by ${payer === "it" ? "IT" : payer})` : "";
  if (spent_usd !== undefined && cap_usd !== undefined && Number(need_usd) > 0 && Number(spent_usd) < Number(cap_usd)) {
    const others = Number(held_usd) > 0 ? `, ${dollars(held_usd ?? "")} held for other calls` : "";
    return <>the budget <em>{budget}</em>{paid} has {dollars(cap_usd)}: {dollars(spent_usd)} spent{others}, and this answer would come to {dollars(need_usd ?? "")}.</>;
  }
  const amounts = spent_usd !== undefined && cap_usd !== undefined ? `: ${dollars(spent_usd)} of ${dollars(cap_usd)}` : "";
  return <>the budget <em>{budget}</em>{paid} is spent{amounts}.</>;
}

const whoDecides = ({ decider, payer }: BudgetFacts): string => {
  const name = decider ? nameOf(decider) : payer === "it" || !payer ? "whoever decides for it" : payer;
  return decider ? name.charAt(0).toUpperCase() + name.slice(1) : name;
};

function reopens({ reopens_ms }: BudgetFacts): string {
  return reopens_ms === undefined ? "" : ` A new window opens ${moment(reopens_ms)}.`;
}

/** A time of today by its clock, another with its day. */
function moment(ms: number): string {
  return Math.abs(ms - nowMs()) < DAY_MS / 2 ? clock(ms) : new Date(ms).toLocaleString([], { day: "numeric", month: "long", hour: "numeric", minute: "2-digit" });
}

/** A decimal text in dollars: cents, and more digits only where it has less than a cent. */
export function dollars(text: string): string {
  const amount = Number(text);
  if (!Number.isFinite(amount)) return text;
  const digits = amount !== 0 && Math.abs(amount) < 0.01 ? { maximumSignificantDigits: 2 } : {};
  return amount.toLocaleString("en-US", { style: "currency", currency: "USD", ...digits });
}
