// What the pages share.

export { RequestError, requestJson } from "./request.js";
export { clock, hueOf, nameOf } from "./actor.js";
export { Button, Glyph, type GlyphName } from "./glyph.js";
export { type Keys, listenToKeys } from "./keys.js";
export { GrowingMarkdown, Inline, Prose } from "./markdown.js";
export { GOVERNANCE, Radius, type RadiusFacts } from "./radius.js";
export { Rule, StopReason, wantedBy } from "./reasons.js";
export { nowMs, SimulatedStrip } from "./simulated.js";
export { STATE_LABELS, StateBadge } from "./state.js";
export { startWithToken } from "./identity.js";
export { escapeInvisible, escapeInvisibleEverywhere } from "./invisible.js";
export { useChanges } from "./changes.js";
export { claimsOf, subjectOf } from "./token.js";
