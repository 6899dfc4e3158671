// Owns the keyboard, for everything that repeats. Keys mean nothing while somebody types.

/** What a key does; false leaves the key to the browser. */
export type Keys = Record<string, (event: KeyboardEvent) => unknown>;

/** Listen to `keys`; "Escape" also works while typing. Returns what ends it. */
export function listenToKeys(keys: () => Keys): () => void {
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target as Element;
    const typing = target.closest("input:not([type=radio]):not([type=range]), textarea, select, [contenteditable]") !== null;
    const action = keys()[event.key];
    if (action === undefined || (typing && event.key !== "Escape")) return;
    if (action(event) !== false) event.preventDefault();
  };
  document.addEventListener("keydown", onKeyDown);
  return () => document.removeEventListener("keydown", onKeyDown);
}
