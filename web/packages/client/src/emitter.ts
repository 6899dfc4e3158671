// Owns how the objects of this package notify listeners of changes.

/** An `EventTarget` whose listeners are also ended by what `on` returns. */
export class Emitter<Names extends string> extends EventTarget {
  /** Call back after each event of a name; returns what ends that. */
  on(name: Names, callback: () => void): () => void {
    const listener = () => callback(); // a callback added twice is called twice
    this.addEventListener(name, listener);
    return () => this.removeEventListener(name, listener);
  }

  protected emit(name: Names): void {
    this.dispatchEvent(new Event(name));
  }
}

/** Something that is kept up to date while anybody follows it. Fires `change`. */
export abstract class Followable extends Emitter<"change"> {
  #followers = 0;

  /** Keep it up to date until what is returned is called; `changed` is called after every change. */
  follow(changed?: () => void): () => void {
    const end = changed && this.on("change", changed);
    if (!this.#followers++) this.begin();
    let following = true;
    return () => {
      if (!following) return;
      following = false;
      end?.();
      if (!--this.#followers) this.end();
    };
  }

  /** Begin again, if anybody follows it. */
  protected restart(): void {
    if (this.#followers) this.begin();
  }

  protected abstract begin(): void;
  protected abstract end(): void;
}
