// Owns the card on which an agent asks: the exact action, and the two answers (CTL-6).

import { Button, escapeInvisible, Glyph, hueOf, nameOf, Radius, Rule, wantedBy } from "holdfast-look";
import { browserToolOf, type ApprovalItem } from "holdfast-ai";

import { useChat } from "./context.js";

const GLYPHS: Record<string, string> = { pending: "waiting", approved: "completed", denied: "close" };

export function Approval({ item, sending }: { item: ApprovalItem; sending: boolean }) {
  const chat = useChat();
  const pending = item.status === "pending";
  const tool = browserToolOf(item);
  if (tool !== null) return <InBrowser item={item} tool={tool} me={chat.me} />;
  return (
    <article class="approval" tabIndex={-1} data-id={item.id} data-status={item.status} style={{ "--hue": String(hueOf(item.actor)) }}>
      <h3><Glyph name={GLYPHS[item.status] ?? "cancelled"} />{nameOf(wantedBy(item))} {pending ? "wants" : "asked"} to run <code>{escapeInvisible(item.tool)}</code></h3>
      <dl class="args">
        {Object.entries(item.args ?? {}).map(([name, value]) => (
          <><dt>{escapeInvisible(name)}</dt><dd><pre tabIndex={0}>{escapeInvisible(typeof value === "string" ? value : JSON.stringify(value, null, 2))}</pre></dd></>
        ))}
      </dl>
      <Rule item={item} />
      {pending && chat.session && <Radius of={`${chat.session.id} ${item.run ?? ""}`} ask={chat.radiusOf(item)} pages="/console/" />}
      <p class="decision">{sending ? "sending your answer …" : pending ? pendingText(item, chat.me) : decisionText(item, chat.me)}</p>
      {pending && (
        <div class="row">
          <Button icon="completed" label="Approve" kind="primary" hint="a" disabled={sending} onClick={() => chat.resolve(item, "approved")} />
          <Button icon="close" label="Deny" kind="danger" hint="d" disabled={sending} onClick={() => chat.resolve(item, "denied")} />
        </div>
      )}
    </article>
  );
}

/** A call that some tab takes and answers: nothing to decide here, one line to read while it lasts. */
function InBrowser({ item, tool, me }: { item: ApprovalItem; tool: string; me: string }) {
  if (item.status !== "pending") return null; // the call itself is shown with its result
  const taken = item.tool === "browser.result";
  const words = taken ? "in the browser that took it" : `in ${item.args["person"] === me ? "your" : "a"} browser that has it`;
  return <p class="decision" data-id={item.id}><Glyph name="waiting" />{nameOf(item.actor)} uses <code>{tool}</code> {words}</p>;
}

function pendingText(item: ApprovalItem, me: string): string {
  const until = new Date(item.deadline).toLocaleDateString([], { day: "numeric", month: "long" });
  const whose = item.requester && wantedBy(item) !== item.requester ? `${item.requester === me ? "Your" : `${nameOf(item.requester)}'s`} message led to it. ` : "";
  return `${whose}Exactly this, and nothing else (${(item.hash ?? "").slice(0, 10)}). Without an answer it is ${item.default} on ${until}.`;
}

function decisionText(item: ApprovalItem, me: string): string {
  if (item.status === "expired" && item.decision === "approved") return "Approved: nobody decided before the deadline passed.";
  if (item.status === "expired") return "Not decided: the run ended, or the deadline passed.";
  const by = item.by === me ? "you" : nameOf(item.by ?? "the deadline");
  return `${item.status === "approved" ? "Approved" : "Denied"} by ${by}${item.note ? `: ${item.note}` : "."}`;
}
