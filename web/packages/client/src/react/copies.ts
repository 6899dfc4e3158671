// Owns copies of what grows in place, so that React sees what changed: an item that did not change keeps its copy.

import type { Item, RunState } from "../protocol.js";
import type { View } from "../view.js";

const copies = new WeakMap<object, { at: number; copy: object }>();

/** A copy of an item or a run of a view: the same object until the item changes. */
export function copyOf<T extends Item | RunState>(view: View, part: T): T {
  const at = view.changedAt(part);
  const cached = copies.get(part);
  if (cached?.at === at) return cached.copy as T;
  const copy = { ...part };
  copies.set(part, { at, copy });
  return copy;
}
