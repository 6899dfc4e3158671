// Owns how a session's cursor and view survive a reload of the page.

import { View } from "./view.js";
import type { StorageLike } from "./outbox.js";
import type { Cursor } from "./protocol.js";

const VIEW_CHARS = 1_500_000; // a larger view is not stored: the next load starts from a snapshot

/** A view at a cursor, and whose it is. */
export interface StoredView extends Cursor {
  principal: string;
  view: View;
}

/** This tab's storage, where there is one and the page may use it. */
export function pageStorage(): StorageLike | null {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

/** Store a view under a name; one too large for the storage is removed. */
export function storeView(storage: StorageLike, name: string, { view, ...at }: StoredView): void {
  try {
    const text = JSON.stringify({ ...at, view: view.export() });
    if (text.length > VIEW_CHARS) throw new RangeError();
    storage.setItem(name, text);
  } catch {
    removeView(storage, name);
  }
}

/** The view stored under a name, or null: there is none, or of another version. */
export function loadView(storage: StorageLike, name: string): StoredView | null {
  try {
    const stored = JSON.parse(storage.getItem(name) ?? "null");
    return stored && { ...stored, view: View.load(stored.view) };
  } catch {
    return null;
  }
}

export function removeView(storage: StorageLike, name: string): void {
  try {
    storage.removeItem(name);
  } catch {} // forbidden: then nothing is stored either
}
