// Which items are shown: the branch from its head back, and for each input the answer chosen (CTL-7).
// The twin of `View.visible` in src/holdfast/protocol/view.py.

/** The topmost known ancestor of a run. */
export function rootOf(runs, id) {
  let run = id;
  while (runs.get(run)?.parent !== undefined && runs.has(runs.get(run).parent)) run = runs.get(run).parent;
  return run;
}

/** Ids of the inputs from the head of the branch back to the first. */
export function turnsOf(messages, head) {
  const turns = new Set();
  let turn = head;
  while (turn !== null && turn !== undefined && !turns.has(turn)) {
    turns.add(turn);
    turn = messages.get(turn)?.parent;
  }
  return turns;
}

/** For each input the root run whose answer is shown: the one selected, else the newest. */
export function answersOf(runs, chosen) {
  const answers = new Map(chosen);
  for (const run of runs.values()) {
    if (run.parent === undefined && run.input !== undefined && !chosen.has(run.input)) answers.set(run.input, run.id);
  }
  return answers;
}

/** The items of the branch shown, in order. `runs` is a Map by id, `chosen` a Map from input to selected run. */
export function visible(items, runs, head, chosen) {
  const messages = new Map(items.filter((item) => item.kind === "message").map((item) => [item.id, item]));
  const turns = turnsOf(messages, head);
  const answers = answersOf(runs, chosen);
  return items.filter((item) => {
    if (item.turn === undefined) return true;
    if (!turns.has(item.turn)) return false;
    return item.run === undefined || rootOf(runs, item.run) === (answers.get(item.turn) ?? item.run);
  });
}

/** The inputs that stand where this one stands: the versions of an edited message, oldest first. */
export function siblingInputs(items, message) {
  return items.filter((item) => item.kind === "message" && item.turn === item.id && item.parent === message.parent);
}

/** The root runs that answer an input, oldest first. */
export function siblingRuns(runs, input) {
  return [...runs.values()].filter((run) => run.parent === undefined && run.input === input);
}

/** The end of the newest conversation that goes on from an input: what to select to see that branch whole. */
export function newestLeaf(items, input) {
  const inputs = items.filter((item) => item.kind === "message" && item.turn === item.id);
  let leaf = input;
  for (;;) {
    const next = inputs.findLast((item) => item.parent === leaf);
    if (next === undefined) return leaf;
    leaf = next.id;
  }
}
