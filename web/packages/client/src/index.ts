// The public names of @holdfast/client.

export { canonical } from "./canonical.js";
export { HoldfastError, type WireError } from "./errors.js";
export { View } from "./fold.js";
export { newestLeaf, rootOf, siblingInputs, siblingRuns, visible } from "./branch.js";
export { applyPatch, PatchError } from "./patch.js";
export { ended, FOLD_VERSION } from "./view.js";
export type * from "./protocol.js";
