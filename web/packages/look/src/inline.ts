// Owns what stands inside a line: code, strong, emphasis, links. One pass from the left; whoever looks for the end of a mark
// looks on from where the last one looked to, so a text costs its length, whatever is in it.

export type InlineSpan =
  | string
  | { kind: "code"; mark: string; text: string }
  | { kind: "strong" | "em"; mark: string; inside: InlineSpan[] }
  | { kind: "link"; label: string; target: string }
  | { kind: "url"; target: string };

/** How many characters were scanned, ever: what a text costs. */
export const scanCost = { characters: 0 };

/** Where something comes next. Asked from places that only move on, it never scans a character twice. */
class ForwardSearch {
  #at = -1;
  readonly #source: string;
  readonly #pattern: RegExp;

  constructor(source: string, pattern: RegExp) {
    this.#source = source;
    this.#pattern = new RegExp(pattern, "g");
  }

  /** The first place at or after `from`; Infinity when there is none. */
  from(from: number): number {
    if (this.#at >= from) return this.#at;
    this.#pattern.lastIndex = from;
    this.#at = this.#pattern.exec(this.#source)?.index ?? Infinity;
    scanCost.characters += Math.max(0, Math.min(this.#at, this.#source.length) - from);
    return this.#at;
  }
}

const ENDS_URL = /[\s<>"')\]]/g;
const WORD = /[A-Za-z0-9]/;
const SPACE = /\s/;

class InlineParser {
  readonly #source: string;
  readonly #lineEnds: ForwardSearch;
  readonly #brackets: ForwardSearch;
  readonly #targetEnds: ForwardSearch; // its end
  readonly #strongEnds: Record<string, ForwardSearch>;
  readonly #emphasisEnds: Record<string, ForwardSearch>;
  readonly #backtickRuns = new Map<number, number[]>(); // of backticks: where those of a length begin, the last first
  #at = 0;

  constructor(source: string) {
    this.#source = source;
    this.#lineEnds = new ForwardSearch(source, /\n/);
    this.#brackets = new ForwardSearch(source, /\]/);
    this.#targetEnds = new ForwardSearch(source, /[)\s]/);
    this.#strongEnds = { "*": new ForwardSearch(source, /\*\*/), _: new ForwardSearch(source, /__/) };
    this.#emphasisEnds = { "*": new ForwardSearch(source, /\*/), _: new ForwardSearch(source, /_/) };
    scanCost.characters += source.length;
    const runs = [...source.matchAll(/`+/g)].reverse();
    for (const { 0: { length }, index } of runs) {
      const sameLength = this.#backtickRuns.get(length);
      if (sameLength) sameLength.push(index);
      else this.#backtickRuns.set(length, [index]);
    }
  }

  spans(): InlineSpan[] {
    const spans: InlineSpan[] = [];
    let from = 0;
    while (this.#at < this.#source.length) {
      scanCost.characters++;
      const begin = this.#at;
      const span = this.#span();
      if (span === null) continue; // `#at` has moved on
      if (begin > from) spans.push(this.#source.slice(from, begin));
      spans.push(span);
      from = this.#at;
    }
    if (from < this.#source.length) spans.push(this.#source.slice(from));
    return spans;
  }

  /** The span that begins here, behind which is gone on then; null, and on by what is no mark, when none does. */
  #span(): InlineSpan | null {
    const begin = this.#at;
    const character = this.#source[begin]!;
    if (character === "`") return this.#code();
    this.#at = begin + 1;
    if (character === "*" || character === "_") return this.#emphasis(character, begin);
    if (character === "[") return this.#link(begin);
    if (character === "h") return this.#url(begin);
    return null;
  }

  /** As many backticks as opened it close it (CommonMark 0.31, 6.1). */
  #code(): InlineSpan | null {
    const begin = this.#at;
    let inside = begin;
    while (this.#source[inside] === "`") inside++;
    scanCost.characters += inside - begin;
    this.#at = inside;
    const length = inside - begin;
    const sameLength = this.#backtickRuns.get(length)!;
    while (sameLength.length && sameLength.at(-1)! <= begin) sameLength.pop();
    const end = sameLength.at(-1);
    if (end === undefined) return null;
    this.#at = end + length;
    return { kind: "code", mark: this.#source.slice(begin, inside), text: this.#source.slice(inside, end) };
  }

  #emphasis(character: string, begin: number): InlineSpan | null {
    if (character === "_" && WORD.test(this.#source[begin - 1] ?? "")) { // snake_case, and __dunder__ inside a word
      while (this.#source[this.#at] === "_") this.#at++;
      return null;
    }
    const doubled = this.#source[begin + 1] === character;
    if (doubled) {
      const end = this.#strongEnds[character]!.from(begin + 3);
      if (end < this.#lineEnds.from(begin) && !SPACE.test(this.#source[begin + 2]!)) {
        this.#at = end + 2;
        return { kind: "strong", mark: character + character, inside: spansOf(this.#source.slice(begin + 2, end)) };
      }
    }
    const end = this.#emphasisEnds[character]!.from(begin + 1);
    const other = this.#emphasisEnds[character === "*" ? "_" : "*"]!.from(begin + 1);
    if (end === begin + 1 || end > other || end >= this.#lineEnds.from(begin) || end === Infinity) return null;
    if (SPACE.test(this.#source[begin + 1]!) || WORD.test(this.#source[end + 1] ?? "")) return null;
    this.#at = end + 1;
    return { kind: "em", mark: character, inside: spansOf(this.#source.slice(begin + 1, end)) };
  }

  #link(begin: number): InlineSpan | null {
    const close = this.#brackets.from(begin + 1);
    if (close === begin + 1 || close >= this.#lineEnds.from(begin) || this.#source[close + 1] !== "(") return null;
    const end = this.#targetEnds.from(close + 2);
    if (this.#source[end] !== ")" || end === close + 2) return null;
    this.#at = end + 1;
    return { kind: "link", label: this.#source.slice(begin + 1, close), target: this.#source.slice(close + 2, end) };
  }

  #url(begin: number): InlineSpan | null {
    if (!this.#source.startsWith("http://", begin) && !this.#source.startsWith("https://", begin)) return null;
    const host = begin + (this.#source[begin + 4] === "s" ? 8 : 7);
    ENDS_URL.lastIndex = host;
    const end = ENDS_URL.exec(this.#source)?.index ?? this.#source.length;
    scanCost.characters += end - begin;
    this.#at = end;
    return end === host ? null : { kind: "url", target: this.#source.slice(begin, end) };
  }
}

/** What stands in a line or paragraph; joined with its marks it is the source. */
export const spansOf = (source: string): InlineSpan[] => new InlineParser(source).spans();
