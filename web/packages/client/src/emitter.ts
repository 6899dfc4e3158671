// Owns how the objects of this package tell that they changed.

/** An `EventTarget` whose listeners are also ended by what `on` returns. */
export class Emitter<Names extends string> extends EventTarget {
  /** Call back after each event of a name; returns what ends that. */
  on(name: Names, callback: () => void): () => void {
    const listener = () => callback(); // a callback given twice is called twice
    this.addEventListener(name, listener);
    return () => this.removeEventListener(name, listener);
  }

  protected emit(name: Names): void {
    this.dispatchEvent(new Event(name));
  }
}
