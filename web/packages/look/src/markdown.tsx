// A small Markdown: enough for answers, safe because it only makes nodes, and lossless: every character of the source
// is in the DOM, in order, marks included (they are hidden). So `textContent` of a message is its text in the log,
// byte for byte, and what the page shows can be checked against what the agent wrote.

import { useLayoutEffect, useRef } from "preact/hooks";

import { type InlineSpan, spansOf } from "./inline.js";

type Child = Node | string | null;

/** A new element. Content is only ever text: nothing here parses HTML. */
function element<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Record<string, string>, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child): child is Node | string => child !== null));
  return node;
}

const HEADING = /^#{1,6} /;
const LIST_ITEM = /^( *)(?:[-*+]|\d{1,9}[.)]) /;
const FENCE = /^ {0,3}```/;
const INLINE_CHARS = 20_000; // a longer block is shown plain: it is drawn anew with every piece that comes

type BlockKind = "heading" | "list" | "quote" | "table" | "paragraph" | "code";
interface Block { kind: BlockKind; source: string }

function kindOf(line: string): BlockKind {
  if (HEADING.test(line)) return "heading";
  if (LIST_ITEM.test(line)) return "list";
  if (line.startsWith(">")) return "quote";
  if (line.startsWith("|")) return "table";
  return "paragraph";
}

/** The blocks of a text, as pieces of its source; joined they are the text. Blank lines end a block and belong to it. */
export function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let kind: BlockKind | "closed" | null = null;
  let ended = false;
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    const last = blocks.at(-1);
    if (kind === "code") {
      last!.source += line;
      if (FENCE.test(line)) [kind, ended] = ["closed", true];
      continue;
    }
    if (line.trim() === "" && last !== undefined) {
      last.source += line;
      ended = true;
      continue;
    }
    const next = FENCE.test(line) ? "code" : kindOf(line);
    const indented = kind === "list" && /^\s{2,}\S/.test(line);
    const continues = last !== undefined && !ended && kind !== "heading" && next !== "code"
      && (next === kind || (next === "paragraph" && (kind === "list" || kind === "quote")));
    if (continues || (indented && next !== "code")) {
      last!.source += line;
      ended = false;
    } else {
      blocks.push({ kind: next, source: line });
      kind = next;
      ended = false;
    }
  }
  return blocks;
}

const mark = (text: string): Child => (text ? element("span", { class: "mark" }, text) : null);

/** Nodes of one line or paragraph of source. */
function inline(source: string): Child[] {
  return source.length > INLINE_CHARS ? [source] : spansOf(source).map(nodeOf);
}

function nodeOf(span: InlineSpan): Child {
  if (typeof span === "string") return span;
  if (span.kind === "code") return element("code", {}, mark(span.mark), span.text, mark(span.mark));
  if (span.kind === "url") return element("a", { href: span.target, target: "_blank", rel: "noopener noreferrer" }, span.target);
  if (span.kind === "link") {
    const parts: Child[] = [mark("["), span.label, mark(`](${span.target})`)];
    return /^https?:\/\//.test(span.target)
      ? element("a", { href: span.target, target: "_blank", rel: "noopener noreferrer" }, ...parts)
      : element("span", {}, ...parts);
  }
  return element(span.kind, {}, mark(span.mark), ...span.inside.map(nodeOf), mark(span.mark));
}

/** A line cut into what is hidden before it, what is shown, and its end. */
function lineParts(line: string, before: RegExp): [string, string, string] {
  const start = before.exec(line)?.[0] ?? "";
  const body = line.slice(start.length).trimEnd();
  return [start, body, line.slice(start.length + body.length)];
}

const linesOf = (source: string): string[] => source.match(/[^\n]*\n|[^\n]+$/g) ?? [];

function listOf(source: string): HTMLElement {
  const items: string[] = [];
  for (const line of linesOf(source)) {
    if (LIST_ITEM.test(line)) items.push(line);
    else items[items.length - 1] += line;
  }
  const ordered = /^ *\d/.test(source);
  return element(ordered ? "ol" : "ul", {}, ...items.map((item) => {
    const [start, body, end] = lineParts(item, LIST_ITEM);
    const depth = Math.min(3, Math.floor(/^ */.exec(item)![0].length / 2));
    const node = element("li", depth ? { "data-depth": String(depth) } : {}, mark(start), ...inline(body), mark(end));
    if (ordered) node.value = Number.parseInt(item, 10) || 1;
    return node;
  }));
}

function codeOf(source: string): HTMLElement {
  const lines = linesOf(source);
  const opening = lines.shift() ?? "";
  const blank: string[] = [];
  while (lines.length && lines.at(-1)!.trim() === "" && lines.length > 1) blank.push(lines.pop()!);
  blank.reverse();
  const closing = lines.length && FENCE.test(lines.at(-1)!) ? lines.pop()! : "";
  const body = [...lines, ...(closing ? [] : blank)].join("");
  return element("pre", { tabindex: "0" }, element("code", {}, mark(opening), body, mark(closing + (closing ? blank.join("") : ""))));
}

const BLOCKS: Record<BlockKind, (source: string) => HTMLElement> = {
  heading(source) {
    const [start, body, end] = lineParts(source, /^#{1,6} /);
    return element(`h${Math.min(6, start.trim().length + 2)}` as "h3", {}, mark(start), ...inline(body), mark(end));
  },
  list: listOf,
  quote(source) {
    return element("blockquote", {}, ...linesOf(source).flatMap((line) => {
      const [start, body, end] = lineParts(line, /^>? ?/);
      return [mark(start), ...inline(body), end];
    }));
  },
  table: (source) => element("pre", { class: "table", tabindex: "0" }, source),
  code: codeOf,
  paragraph(source) {
    const [, body, end] = lineParts(source, /^/);
    return element("p", {}, ...inline(body), mark(end));
  },
};

/** Renders one growing text into `root`. Blocks that are finished are never touched again. */
export class GrowingMarkdown {
  readonly #root: HTMLElement;
  #finishedChars = 0; // characters in blocks that cannot change any more
  #finishedBlocks = 0; // number of those blocks
  #sources: string[] = [];
  #text = "";

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** Show `text`; cheap when it only grew. */
  show(text: string): void {
    const root = this.#root;
    if (text === this.#text) return;
    if (!text.startsWith(this.#text)) {
      root.replaceChildren();
      this.#finishedChars = this.#finishedBlocks = 0;
      this.#sources = [];
    }
    this.#text = text;
    const blocks = blocksOf(text.slice(this.#finishedChars));
    blocks.forEach(({ kind, source }, number) => {
      const at = this.#finishedBlocks + number;
      if (this.#sources[at] === `${kind}${source}`) return;
      const node = BLOCKS[kind](source);
      const oldNode = root.childNodes[at];
      if (oldNode) oldNode.replaceWith(node);
      else root.append(node);
      this.#sources[at] = `${kind}${source}`;
    });
    while (root.childNodes.length > this.#finishedBlocks + blocks.length) root.lastChild!.remove();
    this.#sources.length = this.#finishedBlocks + blocks.length;
    for (const { source } of blocks.slice(0, -2)) {
      this.#finishedChars += source.length;
      this.#finishedBlocks += 1;
    }
  }
}

/** A line of Markdown, such as a quotation: code and emphasis, no blocks. */
export function Inline({ text }: { text: string }) {
  const root = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => root.current!.replaceChildren(...inline(text).filter((node) => node !== null)), [text]);
  return <span class="inline" ref={root} />;
}

/** A text that may still grow, as Markdown. */
export function Prose({ text }: { text: string }) {
  const root = useRef<HTMLDivElement>(null);
  const growing = useRef<GrowingMarkdown | null>(null);
  useLayoutEffect(() => {
    growing.current ??= new GrowingMarkdown(root.current!);
    growing.current.show(text);
  }, [text]);
  return <div class="text prose" ref={root} />;
}
