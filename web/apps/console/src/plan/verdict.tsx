// Owns how a verdict looks: a glyph, a word and a colour, never colour alone; what is unknown is hatched, and never green.

import { Glyph } from "holdfast-look";

import type { GateStatus, Shown } from "./api.js";
import { spanWords, VERDICTS } from "./words.js";

export function VerdictBadge({ shown, word, title }: { shown: Shown; word?: string; title?: string }) {
  return <span class="gate-verdict" data-verdict={shown} title={title}><Glyph name={VERDICTS[shown].glyph} /><span>{word ?? VERDICTS[shown].word}</span></span>;
}

/** Of a gate, with what its word does not say: that it is not built, or that an earlier verdict stands. */
export function GateBadge({ gate }: { gate: GateStatus }) {
  const { shown, cause, standing } = gate;
  return <VerdictBadge shown={shown} word={shown === "unknown" && cause === "unbuilt" ? "not built yet" : standing ? `${VERDICTS[shown].word}, stands` : VERDICTS[shown].word} />;
}

/** Since when something is so. */
export const Since = ({ ms, now, words }: { ms: number; now: number; words: (ms: number) => string }) => (ms ? <span title={words(ms)}>for {spanWords(Math.max(0, now - ms))}</span> : <span class="unknown">since when is unknown</span>);
