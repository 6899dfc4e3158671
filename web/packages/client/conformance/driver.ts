// Owns the driver of this package for the conformance suite (conformance/DRIVER.md): commands in on standard input, what
// came of them out on standard output, one JSON object a line.
//
// It runs on what was built: npx esbuild conformance/driver.ts --bundle --platform=node --format=esm --packages=external

import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import { connect, HoldfastError, View, visible, type Client, type Events, type Session } from "holdfast-ai";
import type { ConnectOptions, Cursor, SessionEvent, ViewData } from "holdfast-ai";
import { apply } from "holdfast-ai/fold";

type Fields = Record<string, any>;

const send = (message: Fields): boolean => process.stdout.write(`${JSON.stringify(message)}\n`);

const viewFacts = (view: View): Fields => ({
  view: view.export(),
  shown: visible(view).map(({ kind, id }) => `${kind} ${id}`),
});

let client: Client | undefined;
const follows = new Map<string, () => void>();
const readers = new Map<string, Events>();

const session = (id: string): Session => client!.session(id);

async function pump(reader: string, events: Events): Promise<void> {
  try {
    for await (const item of events) {
      send({ reader, [item.type === "snapshot" ? "snapshot" : "event"]: item, cursor: events.cursor });
    }
  } catch (error) {
    send({ reader, error: errorFacts(error) });
  }
}

function follow(id: string): void {
  if (!follows.has(id)) follows.set(id, session(id).follow());
}

/** What the suite may ask for: one function a command; each returns the answer's facts. */
const commands: Record<string, (fields: Fields) => Promise<Fields> | Fields> = {
  hello: () => ({ driver: "holdfast-ai", version: "0.1.0", protocol: 1 }),
  fold: ({ events, view: start }) => {
    const view = start ? View.load(start as ViewData) : new View();
    const joins = (events as SessionEvent[]).map((event) => apply(view, event));
    return { joins, ...viewFacts(view) };
  },
  connect: async ({ server, token }) => {
    const options = { token, storage: null, fallback: false, WebSocket: WebSocket as unknown as ConnectOptions["WebSocket"] };
    client = connect(server, options as ConnectOptions);
    await client.ready();
    return { principal: client.principal };
  },
  status: () => ({ status: client ? String(client.status.state) : "offline" }),
  reset: () => {
    for (const events of readers.values()) events.close();
    for (const end of follows.values()) end();
    readers.clear();
    follows.clear();
    client?.close();
    client = undefined;
    return {};
  },
  open: ({ session: id }) => {
    follow(id);
    return {};
  },
  state: async ({ session: id, seq = 0 }) => {
    follow(id);
    const view = await session(id).until(() => (session(id).cursor?.seq ?? -1) >= seq);
    return { cursor: session(id).cursor, ...viewFacts(view) };
  },
  events: ({ session: id, reader, after = "snapshot" }) => {
    const events = session(id).events(after as Cursor);
    readers.set(reader, events);
    void pump(reader, events);
    return {};
  },
  cursor: ({ reader }) => ({ cursor: readers.get(reader)!.cursor }),
  close: ({ reader }) => {
    readers.get(reader)!.close();
    readers.delete(reader);
    return {};
  },
  history: async ({ session: id, page }) => ({ ...(await session(id).history(page)) }),
  create: async ({ session: id, ...settings }) => noFacts(session(id).create(settings)),
  rename: async ({ session: id, title, ...options }) => noFacts(session(id).rename(title, options)),
  append: async ({ session: id, events, ...options }) => noFacts(session(id).append(events, options)),
  send: async ({ session: id, text, ...options }) => runFacts(session(id).send(text, options)),
  interrupt: async ({ session: id, text, ...options }) => runFacts(session(id).interrupt(text, options)),
  regenerate: async ({ session: id, input, ...options }) => runFacts(session(id).regenerate(input, options)),
  cancel: async ({ session: id, ...options }) => ({ runs: await session(id).cancel(options) }),
  steer: async ({ session: id, run, text, ...options }) => ({ steerId: await session(id).steer(run, text, options) }),
  approve: async ({ session: id, approval, ...options }) => noFacts(session(id).approve(approval, options)),
  deny: async ({ session: id, approval, ...options }) => noFacts(session(id).deny(approval, options)),
  select: async ({ session: id, ...options }) => noFacts(session(id).select(options)),
  take: async ({ session: id, ...options }) => noFacts(session(id).take(options)),
  give_back: async ({ session: id, ...options }) => noFacts(session(id).giveBack(options)),
};

async function noFacts(work: Promise<unknown>): Promise<Fields> {
  await work;
  return {};
}

async function runFacts(run: Promise<{ id: string; input?: string }>): Promise<Fields> {
  const { id, input } = await run;
  return { run: id, messageId: input };
}

function errorFacts(error: unknown): Fields {
  if (error instanceof HoldfastError) {
    const { code, message, fix, retry, facts } = error;
    return { code, message, fix, retry, ...facts };
  }
  return { code: "driver.failed", message: String(error) };
}

async function answer({ id, do: name, ...fields }: Fields): Promise<void> {
  try {
    send({ id, ok: await commands[name]!(fields) });
  } catch (error) {
    send({ id, error: errorFacts(error) });
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) void answer(JSON.parse(line));
await commands["reset"]!({});
