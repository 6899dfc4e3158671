// Folds each case read from standard input with the page's fold, and writes what came of it, one JSON line a case.
// A case: {"view"?: a view to start from, "events": [...], "looks": [numbers of events after which to export]}.

import { createInterface } from "node:readline";

const { View } = await import(process.argv[2]);
const { canonical } = await import(process.argv[3]);
const { visible } = await import(process.argv[4]);

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { view: start, events, looks } = JSON.parse(line);
  let view = start ? View.load(start) : new View();
  const joins = [];
  const seen = [];
  events.forEach((event, number) => {
    joins.push(view.apply(event));
    if (looks.includes(number)) {
      seen.push(canonical(view.export()));
      view = View.load(JSON.parse(JSON.stringify(view.export())));
    }
  });
  const shown = visible(view.items, view.runs, view.head, view.chosen).map((item) => `${item.kind} ${item.id}`);
  process.stdout.write(`${JSON.stringify({ joins, seen, end: canonical(view.export()), shown })}\n`);
}
