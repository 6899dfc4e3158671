// Owns what the routes of "try to cheat" answer, as types, and whether this server has them.

import { useEffect, useState } from "preact/hooks";

import { type Console, useConsole } from "../console.js";
import type { Verdict } from "./api.js";

/** A way to cheat (`company/cheats/move.py`); `setting` is what of it is set up for the occasion. */
export interface CheatMove { name: string; gate: string; title: string; does: string; counter: string; setting: string }
export interface NaiveCheck { green: boolean; reason: string }
export interface PlanSays { verdict: Verdict; reason: string; fix: string }
/** What came of one: what an ordinary dashboard and the plan said before it, and after it. */
export interface CheatPlayed { move: CheatMove; naive_before: NaiveCheck; naive: NaiveCheck; before: PlanSays; after: PlanSays }

export const CHEATS = "x/company/cheats";
const lists = new WeakMap<Console, Promise<CheatMove[]>>();

/** The ways to cheat that can be tried here; none where the server is no demo company's, or one may not audit. */
export function useCheats(): readonly CheatMove[] {
  const operator = useConsole();
  const [moves, setMoves] = useState<readonly CheatMove[]>([]);
  const simulated = operator.client.connection.welcome?.simulated !== undefined && operator.may("audit");
  useEffect(() => {
    if (!simulated) return;
    if (!lists.has(operator)) lists.set(operator, operator.request<{ moves: CheatMove[] }>(CHEATS).then(({ moves: found }) => found, () => []));
    void lists.get(operator)!.then(setMoves);
  }, [operator, simulated]);
  return moves;
}
