// Owns the timeline: a lane for each actor, a scrubber over the whole log, and the state as it was at that position.

import { Button, escapeInvisible, hueOf, nameOf } from "holdfast-look";
import { browserToolOf, type Item, type View } from "holdfast-ai";
import { memo } from "preact/compat";
import { useMemo, useRef } from "preact/hooks";

import type { Log } from "./log.js";
import { type Lane, lanesOf } from "./spans.js";
import { RunTree } from "./runs.js";
import { VirtualList } from "./virtual.js";

const LANE_PX = 28;
const WIDTH = 1_000;
const PREVIEW_CHARS = 400;

export function Timeline({ log, count, live, scrub }: { log: Log; count: number; live: boolean; scrub: (seq: number | null) => void }) {
  const previous = useRef<ReturnType<typeof lanesOf> | null>(null);
  const size = log.events.length;
  const lanes = useMemo(() => (previous.current = lanesOf(log.events, previous.current)).lanes, [log, size]);
  const view = useMemo(() => log.foldTo(count), [log, count]);
  const seq = count ? log.events[count - 1]!.to ?? log.events[count - 1]!.seq : 0;
  const last = log.events.at(-1);
  return (
    <div class="timeline">
      {log.truncated && <p class="hint">Only the first {log.events.length.toLocaleString()} events are shown here.</p>}
      <div class="lanes">{lanes.map((lane) => <LaneView key={lane.actor} lane={lane} spans={lane.spans.length} size={size} count={count} choose={(at) => scrub(log.events[at]!.seq)} />)}</div>
      <div class="scrubber">
        <input type="range" min={0} max={size} value={count} aria-label="Position in the log" aria-valuetext={`event ${seq}`}
          onInput={({ currentTarget }) => {
            const to = Number(currentTarget.value);
            scrub(to >= size ? null : log.events[Math.max(0, to - 1)]?.seq ?? 0);
          }} />
        <span class="at">{live ? `live at ${seq.toLocaleString()}` : `as it was at ${seq.toLocaleString()}`}{count && last ? ` · ${new Date(log.events[count - 1]!.ts).toLocaleTimeString()}` : ""}</span>
        {!live && <Button icon="running" label="live" onClick={() => scrub(null)} />}
      </div>
      <FoldedView view={view} seq={seq} />
    </div>
  );
}

/** One actor's spans; drawn anew only when there are more, or the position moved. */
const LaneView = memo(function LaneView({ lane, size, count, choose }: {
  lane: Lane; spans: number; size: number; count: number; choose: (event: number) => void;
}) {
  const scale = WIDTH / Math.max(1, size);
  return (
    <div class="lane" style={{ "--hue": String(hueOf(lane.actor)) }}>
      <span class="name" title={lane.actor}>{nameOf(lane.actor)}</span>
      <svg viewBox={`0 0 ${WIDTH} ${LANE_PX}`} preserveAspectRatio="none" role="img" aria-label={`${lane.actor}: ${lane.spans.length} spans`} onClick={(event) => {
        const { left, width } = event.currentTarget.getBoundingClientRect();
        choose(Math.min(size - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * size))));
      }}>
        {mergedSpans(lane, scale).map(({ from, to, kind, label }) => (
          <rect key={`${from}`} class={from >= count ? `${kind} later` : kind} x={from * scale} width={Math.max(1.5, (to - from + 1) * scale)} y={kind === "control" ? 2 : 7} height={kind === "control" ? LANE_PX - 4 : LANE_PX - 14}><title>{label}</title></rect>
        ))}
        <line x1={count * scale} x2={count * scale} y1={0} y2={LANE_PX} />
      </svg>
    </div>
  );
});

/** Neighbours too narrow to tell apart become one: a lane never holds more than it can show. */
function mergedSpans({ spans }: Lane, scale: number) {
  const drawn: { from: number; to: number; kind: string; label: string }[] = [];
  for (const span of spans) {
    const last = drawn.at(-1);
    if (last && last.kind === span.kind && (span.from - last.to) * scale < 0.8 && (span.to - span.from) * scale < 1.5) {
      last.to = span.to;
      last.label = `${last.label.replace(/ … .*/, "")} … ${span.label}`;
    } else drawn.push({ ...span });
  }
  return drawn;
}

function FoldedView({ view, seq }: { view: View; seq: number }) {
  return (
    <div class="folded">
      <section><h2>What people saw at {seq.toLocaleString()}</h2>
        {view.items.length
          ? <VirtualList rows={view.items} height={60} label="Items" follow row={(item) => <ItemRow key={`${item.kind}:${item.id}`} item={item} />} />
          : <p class="hint">Nothing yet.</p>}
      </section>
      <section><h2>Runs then</h2><RunTree session={null} runs={[...view.runs.values()]} /></section>
    </div>
  );
}

function ItemRow({ item }: { item: Item }) {
  const [kind, words] = describeItem(item);
  return (
    <div class="item" data-row tabIndex={-1} role="listitem" style={{ "--hue": String(hueOf(item.actor)) }}>
      <span class="head"><b>{nameOf(item.actor)}</b><small>{kind}{"status" in item ? ` · ${item.status}` : ""} · {item.seq}</small></span>
      <span class="words">{escapeInvisible(lastChars(words ?? ""))}</span>
    </div>
  );
}

/** The end of a long text, from a word on. */
const lastChars = (text: string): string => (text.length > PREVIEW_CHARS ? `… ${text.slice(-PREVIEW_CHARS).replace(/^\S*\s/, "")}` : text);

/** What an item is, and what it says. */
function describeItem(item: Item): [kind: string, words: string | null] {
  if ("text" in item) return [item.kind, item.text];
  if (item.kind === "tool") return [item.kind, `${item.name} ${item.args}`];
  if (item.kind !== "approval") return [item.kind, "name" in item ? item.name : ""];
  const inBrowser = browserToolOf(item);
  if (inBrowser === null) return [item.kind, `${item.tool} ${JSON.stringify(item.args)}`];
  return ["in a browser", item.tool === "browser.result" ? `the result of ${inBrowser}` : `who runs ${inBrowser}?`];
}
