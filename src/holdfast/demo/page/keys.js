// The keyboard, for everything that repeats. Keys mean nothing while somebody types.

/** `actions` by key; "Escape" also works while typing. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.closest("input:not([type=radio]), textarea, select, [contenteditable]") !== null;
    const action = actions[event.key];
    if (action === undefined || (typing && event.key !== "Escape")) return;
    if (action(event) !== false) event.preventDefault();
  });
}
