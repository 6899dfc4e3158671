// Owns when a component draws again: at most once a frame, however often what it shows has changed.

import { useEffect, useState } from "preact/hooks";

/** Draw again after changes that `follow` reports; it returns what ends that. Returns how often it was drawn for one. */
export function useChanges(follow: (changed: () => void) => () => void, dependencies: readonly unknown[]): number {
  const [count, setCount] = useState(0);
  useEffect(() => {
    let frame = 0;
    const changed = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setCount((before) => before + 1);
      });
    };
    const end = follow(changed);
    changed();
    return () => {
      cancelAnimationFrame(frame);
      end();
    };
  }, dependencies);
  return count;
}
