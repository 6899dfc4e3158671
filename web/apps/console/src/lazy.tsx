// Owns parts of the console that are loaded when they are first opened.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A component that is loaded once, and stays. */
export function lazily<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  return function Lazy(props: P) {
    const [, setCount] = useState(0);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (loaded === null) {
        load().then((found) => { loaded = found.default; setCount(1); }, () => setFailed(true));
      }
    }, []);
    if (failed) return <p class="nothing">This page could not be loaded. The server may have been upgraded: load the console again.</p>;
    if (loaded === null) return <p class="nothing">Loading …</p>;
    const Found = loaded;
    return <Found {...props} />;
  };
}
