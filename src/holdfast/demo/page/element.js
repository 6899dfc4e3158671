// Making DOM nodes. Content is only ever text: nothing here, or anywhere in the page, parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** `element("button.primary", {title: "…", onclick}, child, "text", …)`. Null children are left out. */
export function element(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag || "div");
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Make `parent` hold exactly `children`, in order, moving only what is out of place. */
export function place(parent, children) {
  let cursor = parent.firstChild;
  for (const child of children) {
    if (child === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(child, cursor);
  }
  while (cursor !== null) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

/** Set text only when it differs, so that nothing is laid out again for nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

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
};
const FILLED = new Set(["running", "cancelled", "lost", "stop"]);

/** A 16 px glyph; drawn, so that it looks the same wherever the page is shown. */
export function glyph(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `glyph${FILLED.has(name) ? " filled" : ""}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? PATHS.queued);
  svg.append(path);
  return svg;
}

/** A button with a glyph and words; the words are its name also where only the glyph is shown. */
export function button(icon, words, onclick, { kind = "", key = "", ...attributes } = {}) {
  return element(`button${kind ? `.${kind}` : ""}`, { type: "button", onclick, ...attributes },
    glyph(icon), element("span.words", {}, words), key ? element("kbd", { "aria-hidden": "true" }, key) : null);
}

const FACTOR = 25; // spreads the names of this demo well; any other odd number would do

/** A stable hue of an actor, from its name. */
export function hueOf(actor) {
  let hash = 7;
  for (const letter of actor) hash = (Math.imul(hash, FACTOR) + letter.codePointAt(0)) >>> 0;
  return hash % 360;
}

/** `user:you` → `you`, `agent:librarian/protocol` → `protocol`. */
export const nameOf = (actor) => actor.slice(actor.indexOf(":") + 1).split("/").at(-1);

/** 12:03:44, in the reader's own way. */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
