// What the pages share.

export { ask, Unanswered } from "./request.js";
export { clock, hueOf, nameOf } from "./actor.js";
export { Button, Glyph, type GlyphName } from "./glyph.js";
export { listen, type Keys } from "./keys.js";
export { Growing, Inline, Prose } from "./markdown.js";
export { StateBadge, WORDS } from "./state.js";
export { arrive } from "./identity.js";
export { bare, showAsItIs } from "./invisible.js";
export { useChanges } from "./changes.js";
