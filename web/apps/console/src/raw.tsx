// Owns the raw events: the log as it is, ten thousand rows as light as ten.

import type { SessionEvent } from "holdfast-ai";
import { useState } from "preact/hooks";

import type { Log } from "./log.js";
import { VirtualList } from "./virtual.js";

export function RawEventList({ log, focus, choose }: { log: Log; focus?: number | undefined; choose: (seq: number | null) => void }) {
  const [type, setType] = useState("");
  const types = [...new Set(log.events.map((event) => event.type))].sort();
  const rows = type ? log.events.filter((event) => event.type === type) : log.events;
  const at = focus === undefined ? undefined : log.events[focus];
  return (
    <div class="raw">
      <label class="choice"><span>type</span>
        <select value={type} onChange={({ currentTarget }) => setType(currentTarget.value)}>
          <option value="">any</option>{types.map((one) => <option key={one}>{one}</option>)}
        </select>
      </label>
      <VirtualList rows={rows} height={28} label="Events" follow={focus === undefined} focus={at && rows.includes(at) ? rows.indexOf(at) : undefined}
        row={(event) => <EventRow key={event.seq} event={event} here={event === at} choose={() => choose(event.seq)} />} />
      <pre class="detail" tabIndex={0}>{at ? JSON.stringify(at, null, 2) : "Choose an event to see all of it."}</pre>
    </div>
  );
}

const EventRow = ({ event: { seq, to, type, actor, run, data }, here, choose }: { event: SessionEvent; here: boolean; choose: () => void }) => (
  <div class={here ? "event here" : "event"} data-row role="listitem" tabIndex={0} onClick={choose} onKeyDown={({ key }) => key === "Enter" && choose()}>
    <span class="num">{to ? `${seq}–${to}` : seq}</span><span class="type">{type}</span><span class="actor">{actor}</span><span class="run">{run ?? ""}</span><code>{JSON.stringify(data)}</code>
  </div>
);
