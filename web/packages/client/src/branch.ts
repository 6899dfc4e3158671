// Owns what the conversation of a session that branches is: the items from the head back, turn by turn, and for each input
// the answer chosen (CTL-7). The twin of src/holdfast/protocol/conversation.py.

import type { Item, MessageItem, RunState } from "./protocol.js";
import type { View } from "./view.js";

/** The topmost known ancestor of a run. */
export function rootOf(runs: ReadonlyMap<string, RunState>, id: string): string {
  for (;;) {
    const parent = runs.get(id)?.parent;
    if (parent === undefined || !runs.has(parent)) return id;
    id = parent;
  }
}

/**
 * The items of the branch shown, turn by turn: an answer stands where the first answer to its input stood, however late
 * it was given, and what belongs to no turn stands in the turn during which it came.
 */
export function visible(view: View): Item[] {
  const firstAnswers = new Map<string, number>(); // where the first answer to each input begins
  for (const { run, turn, seq } of view.items) {
    if (run !== undefined && turn !== undefined && !firstAnswers.has(turn)) firstAnswers.set(turn, seq);
  }
  const turnNumbers = ranks(view);
  const turns = [...turnNumbers.keys()].map((input) => turnOf(view, input, firstAnswers.get(input)));
  const places: { item: Item; turn: number; after: boolean }[] = [];
  for (const item of view.items) {
    const root = item.run === undefined ? undefined : rootOf(view.runs, item.run);
    const input = item.turn ?? view.runs.get(root ?? "")?.input;
    let turn = turnNumbers.get(input ?? "") ?? -1;
    let after = false;
    if (input === undefined) { // of no turn: it is in the one whose input came last before it
      turn = Math.max(0, turns.findLastIndex(({ inputSeq }) => inputSeq < item.seq));
      const { firstAnswerSeq, answerSeq } = turns[turn] ?? { firstAnswerSeq: 0, answerSeq: 0 };
      after = firstAnswerSeq < item.seq && item.seq < answerSeq;
    } else if (turn < 0 || (root !== undefined && root !== (turns[turn]!.answer ?? root))) {
      continue;
    }
    places.push({ item, turn, after });
  }
  places.sort((a, b) => a.turn - b.turn || Number(a.after) - Number(b.after) || a.item.seq - b.item.seq);
  return places.map(({ item }) => item);
}

/** The inputs of the branch shown, oldest first, each with its number. */
function ranks(view: View): Map<string, number> {
  const inputs = new Set<string>();
  for (let input = view.head; input !== null && !inputs.has(input);) {
    inputs.add(input);
    input = view.find("message", input)?.parent ?? null;
  }
  return new Map([...inputs].reverse().map((input, number) => [input, number]));
}

interface BranchTurn {
  /** Where the input is; 0 when it has left the window. */
  inputSeq: number;
  /** The run chosen as its answer. */
  answer: string | undefined;
  /** Where an answer began to be given, and where the chosen one was queued: what was said in between follows it. */
  firstAnswerSeq: number;
  answerSeq: number;
}

function turnOf(view: View, input: string, firstAnswerSeq: number | undefined): BranchTurn {
  const answer = view.chosen.get(input) ?? siblingRuns(view.runs, input).at(-1)?.id;
  const answerSeq = view.runs.get(answer ?? "")?.seq ?? 0;
  return { inputSeq: view.find("message", input)?.seq ?? 0, answer, firstAnswerSeq: firstAnswerSeq ?? answerSeq, answerSeq };
}

const isInput = (item: Item): item is MessageItem => item.kind === "message" && item.turn === item.id;

/** The inputs that stand where this one stands: the versions of an edited message, oldest first. */
export const siblingInputs = (items: readonly Item[], message: MessageItem): MessageItem[] =>
  items.filter(isInput).filter((item) => item.parent === message.parent);

/** The root runs that answer an input, oldest first: its regenerated answers. */
export const siblingRuns = (runs: ReadonlyMap<string, RunState>, input: string): RunState[] =>
  byAge(runs).filter((run) => run.parent === undefined && run.input === input);

/** Runs in the order they were queued: JSON objects have none to rely on. */
const byAge = (runs: ReadonlyMap<string, RunState>): RunState[] => [...runs.values()].sort((a, b) => a.seq - b.seq);

/** The end of the newest conversation that goes on from an input: what to `select` to see that branch whole. */
export function newestLeaf(items: readonly Item[], input: string): string {
  const inputs = items.filter(isInput);
  for (let leaf = input; ;) {
    const next = inputs.findLast((item) => item.parent === leaf);
    if (!next) return leaf;
    leaf = next.id;
  }
}
