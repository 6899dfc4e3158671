// Owns when a page draws again: at most once a frame, however fast events come; and only where something changed.

import { useCallback, useSyncExternalStore } from "react";

/** Something that changes and is followed, or at least listened to. */
interface ChangeSource {
  follow?(changed: () => void): () => void;
  on(name: string, changed: () => void): () => void;
}

/** Counts the frames in which something changed, and keeps what was computed for the present one. */
class FrameScheduler {
  #count = 0;
  #scheduled = false;
  readonly #listeners = new Set<() => void>();
  readonly #source: ChangeSource;
  readonly #event: string;
  #end: (() => void) | undefined;

  constructor(source: ChangeSource, event: string) {
    this.#source = source;
    this.#event = event;
  }

  readonly count = (): number => this.#count;

  readonly subscribe = (listener: () => void): (() => void) => {
    if (!this.#listeners.size) {
      const changed = () => this.#changed();
      this.#end = this.#source.follow?.(changed) ?? this.#source.on(this.#event, changed);
      this.#count++; // what changed while nobody listened
    }
    this.#listeners.add(listener);
    return () => {
      if (this.#listeners.delete(listener) && !this.#listeners.size) this.#end?.();
    };
  };

  #changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const draw = () => {
      this.#scheduled = false;
      this.#count++;
      for (const listener of [...this.#listeners]) listener();
    };
    // a page nobody looks at gets no frames
    if (globalThis.document?.hidden === false) requestAnimationFrame(draw);
    else setTimeout(draw, 16);
  }
}

const schedulers = new WeakMap<ChangeSource, FrameScheduler>();

/** Follow something while the component is mounted; draws again after it changed. Returns the count of changes. */
export function useChangeCount(source: ChangeSource, event = "change"): number {
  let scheduler = schedulers.get(source);
  if (!scheduler) schedulers.set(source, (scheduler = new FrameScheduler(source, event)));
  return useSyncExternalStore(scheduler.subscribe, scheduler.count, useCallback(() => 0, []));
}
