// Owns what stands inside a line: code, strong, emphasis, links. One pass from the left; whoever looks for the end of a mark
// looks on from where the last one looked to, so a text costs its length, whatever is in it.

export type Span =
  | string
  | { kind: "code"; mark: string; text: string }
  | { kind: "strong" | "em"; mark: string; inside: Span[] }
  | { kind: "link"; label: string; target: string }
  | { kind: "url"; target: string };

/** How many characters were looked at, ever: for those who want to know what a text costs. */
export const looked = { characters: 0 };

/** Where something comes next. Asked from places that only move on, it never looks at a character twice. */
class Ahead {
  #at = -1;
  readonly #source: string;
  readonly #wanted: RegExp;

  constructor(source: string, wanted: RegExp) {
    this.#source = source;
    this.#wanted = new RegExp(wanted, "g");
  }

  /** The first place at or after `from`; Infinity when there is none. */
  from(from: number): number {
    if (this.#at >= from) return this.#at;
    this.#wanted.lastIndex = from;
    this.#at = this.#wanted.exec(this.#source)?.index ?? Infinity;
    looked.characters += Math.max(0, Math.min(this.#at, this.#source.length) - from);
    return this.#at;
  }
}

const ENDS_URL = /[\s<>"')\]]/g;
const WORD = /[A-Za-z0-9]/;
const SPACE = /\s/;

class Reader {
  readonly #source: string;
  readonly #line: Ahead;
  readonly #bracket: Ahead;
  readonly #target: Ahead; // its end
  readonly #strong: Record<string, Ahead>;
  readonly #leaning: Record<string, Ahead>;
  readonly #runs = new Map<number, number[]>(); // of backticks: where those of a length begin, the last first
  #at = 0;

  constructor(source: string) {
    this.#source = source;
    this.#line = new Ahead(source, /\n/);
    this.#bracket = new Ahead(source, /\]/);
    this.#target = new Ahead(source, /[)\s]/);
    this.#strong = { "*": new Ahead(source, /\*\*/), _: new Ahead(source, /__/) };
    this.#leaning = { "*": new Ahead(source, /\*/), _: new Ahead(source, /_/) };
    looked.characters += source.length;
    const runs = [...source.matchAll(/`+/g)].reverse();
    for (const { 0: { length }, index } of runs) {
      const alike = this.#runs.get(length);
      if (alike) alike.push(index);
      else this.#runs.set(length, [index]);
    }
  }

  spans(): Span[] {
    const found: Span[] = [];
    let from = 0;
    while (this.#at < this.#source.length) {
      looked.characters++;
      const begin = this.#at;
      const span = this.#span();
      if (span === null) continue; // `#at` has moved on
      if (begin > from) found.push(this.#source.slice(from, begin));
      found.push(span);
      from = this.#at;
    }
    if (from < this.#source.length) found.push(this.#source.slice(from));
    return found;
  }

  /** The span that begins here, behind which is gone on then; null, and on by what is no mark, when none does. */
  #span(): Span | null {
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
  #code(): Span | null {
    const begin = this.#at;
    let inside = begin;
    while (this.#source[inside] === "`") inside++;
    looked.characters += inside - begin;
    this.#at = inside;
    const length = inside - begin;
    const alike = this.#runs.get(length)!;
    while (alike.length && alike.at(-1)! <= begin) alike.pop();
    const end = alike.at(-1);
    if (end === undefined) return null;
    this.#at = end + length;
    return { kind: "code", mark: this.#source.slice(begin, inside), text: this.#source.slice(inside, end) };
  }

  #emphasis(character: string, begin: number): Span | null {
    if (character === "_" && WORD.test(this.#source[begin - 1] ?? "")) { // snake_case, and __dunder__ inside a word
      while (this.#source[this.#at] === "_") this.#at++;
      return null;
    }
    const doubled = this.#source[begin + 1] === character;
    if (doubled) {
      const end = this.#strong[character]!.from(begin + 3);
      if (end < this.#line.from(begin) && !SPACE.test(this.#source[begin + 2]!)) {
        this.#at = end + 2;
        return { kind: "strong", mark: character + character, inside: spansOf(this.#source.slice(begin + 2, end)) };
      }
    }
    const end = this.#leaning[character]!.from(begin + 1);
    const other = this.#leaning[character === "*" ? "_" : "*"]!.from(begin + 1);
    if (end === begin + 1 || end > other || end >= this.#line.from(begin) || end === Infinity) return null;
    if (SPACE.test(this.#source[begin + 1]!) || WORD.test(this.#source[end + 1] ?? "")) return null;
    this.#at = end + 1;
    return { kind: "em", mark: character, inside: spansOf(this.#source.slice(begin + 1, end)) };
  }

  #link(begin: number): Span | null {
    const close = this.#bracket.from(begin + 1);
    if (close === begin + 1 || close >= this.#line.from(begin) || this.#source[close + 1] !== "(") return null;
    const end = this.#target.from(close + 2);
    if (this.#source[end] !== ")" || end === close + 2) return null;
    this.#at = end + 1;
    return { kind: "link", label: this.#source.slice(begin + 1, close), target: this.#source.slice(close + 2, end) };
  }

  #url(begin: number): Span | null {
    if (!this.#source.startsWith("http://", begin) && !this.#source.startsWith("https://", begin)) return null;
    const host = begin + (this.#source[begin + 4] === "s" ? 8 : 7);
    ENDS_URL.lastIndex = host;
    const end = ENDS_URL.exec(this.#source)?.index ?? this.#source.length;
    looked.characters += end - begin;
    this.#at = end;
    return end === host ? null : { kind: "url", target: this.#source.slice(begin, end) };
  }
}

/** What stands in a line or paragraph; joined with its marks it is the source. */
export const spansOf = (source: string): Span[] => new Reader(source).spans();
