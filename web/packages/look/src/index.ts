// What the pages share.

export { requestJson, RequestError } from "./request.js";
export { clock, hueOf, nameOf } from "./actor.js";
export { Button, Glyph, type GlyphName } from "./glyph.js";
export { listenToKeys, type Keys } from "./keys.js";
export { GrowingMarkdown, Inline, Prose } from "./markdown.js";
export { StateBadge, STATE_LABELS } from "./state.js";
export { startWithToken } from "./identity.js";
export { escapeInvisible, escapeInvisibleEverywhere } from "./invisible.js";
export { useChanges } from "./changes.js";
