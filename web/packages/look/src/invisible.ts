// Owns text that must be read as it is: a name, a title, an action that somebody allows is not what it only looks like.

import { Fragment, type ComponentChildren, options, type VNode } from "preact";

/** Controls and formats, without line breaks, tabs, and the two joiners that scripts and emoji are written with. */
const INVISIBLE = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** The text with characters that cannot be seen, or that turn others around, shown as what they are: `⟨U+202E⟩`. */
export const escapeInvisible = (text: string): string =>
  text.replace(INVISIBLE, (character) => `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`);

const TEXT_ATTRIBUTES = ["title", "aria-label", "alt", "placeholder"]; // attributes that are read, too
const VERBATIM_CLASSES = /(^| )(text|prose)( |$)/; // classes of what people and agents say: as it stands in the log, and isolated

function escapeChildren(children: ComponentChildren): ComponentChildren {
  if (typeof children === "string") return escapeInvisible(children);
  return Array.isArray(children) ? children.map(escapeChildren) : children;
}

/** Escape invisible characters in everything a page draws from here on, except messages, which keep their own characters. */
export function escapeInvisibleEverywhere(): void {
  const before = options.vnode;
  options.vnode = (vnode: VNode) => {
    const { type } = vnode;
    const props = vnode.props as Record<string, unknown>;
    if ((typeof type === "string" && !VERBATIM_CLASSES.test(String(props["class"] ?? ""))) || type === Fragment) {
      if (props["children"] !== undefined) props["children"] = escapeChildren(props["children"] as ComponentChildren);
    }
    if (typeof type === "string") {
      for (const name of TEXT_ATTRIBUTES) if (typeof props[name] === "string") props[name] = escapeInvisible(props[name] as string);
    }
    before?.(vnode);
  };
}
