// Owns the glyphs: drawn, so that they look the same wherever a page is shown; and the button that carries one.

import type { ComponentChildren, JSX } from "preact";

const PATHS = {
  queued: "M8 3.5v4.5l3 2 M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 0 0 0-12.5",
  running: "M5 3.2v9.6l8-4.8z",
  waiting: "M5.5 3.5v9 M10.5 3.5v9",
  completed: "M3 8.5l3.3 3.3L13 4.6",
  failed: "M4 4l8 8 M12 4l-8 8",
  cancelled: "M4 4h8v8h-8z",
  lost: "M9 1.8L4 9h4l-1 5.2L12 7H8z",
  plus: "M8 3v10 M3 8h10",
  menu: "M2.5 4.5h11 M2.5 8h11 M2.5 11.5h11",
  pulse: "M1.5 8.5h3l2-5 3 9 2-4h3",
  close: "M4 4l8 8 M12 4l-8 8",
  send: "M8 13V3 M3.8 7.2L8 3l4.2 4.2",
  stop: "M4.5 4.5h7v7h-7z",
  down: "M8 3v10 M3.8 8.8L8 13l4.2-4.2",
  left: "M10 3.5L5.5 8l4.5 4.5",
  right: "M6 3.5l4.5 4.5L6 12.5",
  fold: "M4 6l4 4 4-4",
  again: "M13 8a5 5 0 1 1-1.6-3.7 M13 2v3h-3",
  edit: "M3 13l.6-2.8L10.8 3l2.2 2.2-7.2 7.2z",
  copy: "M5.5 5.5h7.5v7.5h-7.5z M3 10.5v-7.5h7.5",
  hand: "M4.2 9V5 M6.6 8V3.2 M9 8V3.2 M11.4 8.6V4.6 M4.2 9c0 3 1.6 4.8 4 4.8s3.2-1.6 3.2-3.6",
  scissors: "M5 6.3L13 12 M5 9.7L13 4 M3.4 4a1.7 1.7 0 1 0 .01 0 M3.4 8.6a1.7 1.7 0 1 0 .01 0",
  skull: "M8 2.2a4.8 4.8 0 0 0-3 8.6v2h6v-2a4.8 4.8 0 0 0-3-8.6 M6.2 7.2v.4 M9.8 7.2v.4",
  snow: "M8 2v12 M2.8 5l10.4 6 M13.2 5L2.8 11",
  sun: "M8 5.2a2.8 2.8 0 1 0 .01 0 M8 1.5v1.4 M8 13.1v1.4 M1.5 8h1.4 M13.1 8h1.4 M3.4 3.4l1 1 M11.6 11.6l1 1 M12.6 3.4l-1 1 M4.4 11.6l-1 1",
  server: "M2.5 3h11v4h-11z M2.5 9h11v4h-11z M4.8 5h.1 M4.8 11h.1",
  tab: "M2.5 4.5h11v8h-11z M2.5 4.5l2-1.7h3l1.6 1.7",
  steer: "M3 3v4.5a2.5 2.5 0 0 0 2.5 2.5H13 M9.8 6.8L13 10l-3.2 3.2",
  tool: "M9.6 3a3.2 3.2 0 0 0-3 4.2L2.8 11l2.2 2.2 3.8-3.8a3.2 3.2 0 0 0 4.2-3l-2 1.2-1.6-1.6z",
  source: "M3.5 2.5h6l3 3v8h-9z M9.5 2.5v3h3",
  search: "M7 2.5a4.5 4.5 0 1 0 .01 0 M10.3 10.3l3.2 3.2",
  eye: "M1.5 8s2.5-4.5 6.5-4.5S14.5 8 14.5 8s-2.5 4.5-6.5 4.5S1.5 8 1.5 8z M8 6.2a1.8 1.8 0 1 0 .01 0",
  question: "M5.6 5.8a2.5 2.5 0 1 1 3.6 2.4c-.9.5-1.2 1-1.2 1.9 M8 12.9v.1",
  minus: "M3.5 8h9",
  over: "M2 12c1-8 11-8 12 0 M11.2 10.2L14 12l1.2-3 M7 12h2",
} as const;
const FILLED: ReadonlySet<string> = new Set(["running", "cancelled", "lost", "stop"]);

export type GlyphName = keyof typeof PATHS;

/** A 16 px glyph; an unknown name is drawn as a clock. */
export function Glyph({ name }: { name: string }) {
  const path = PATHS[name as GlyphName] ?? PATHS.queued;
  return <svg class={FILLED.has(name) ? "glyph filled" : "glyph"} viewBox="0 0 16 16" aria-hidden="true"><path d={path} /></svg>;
}

type ButtonProps = Omit<JSX.HTMLAttributes<HTMLButtonElement>, "icon"> & {
  icon: GlyphName;
  /** Its name, also where only the glyph is shown. */
  label: ComponentChildren;
  kind?: "primary" | "danger" | "quiet" | "icon" | "";
  /** The key that does the same. */
  hint?: string;
  disabled?: boolean;
  type?: "button" | "submit";
};

/** A button with a glyph and words. */
export function Button({ icon, label, kind = "", hint, class: extraClass, type = "button", ...rest }: ButtonProps) {
  const names = [kind, extraClass].filter(Boolean).join(" ");
  return (
    <button type={type} class={names || undefined} {...rest}>
      <Glyph name={icon} /><span class="words">{label}</span>
      {hint !== undefined && <kbd aria-hidden="true">{hint}</kbd>}
    </button>
  );
}
