// Owns text that must be read as it is: an action that somebody allows is not what it only looks like.

/** Controls and formats, without line breaks, tabs, and the two joiners that scripts and emoji are written with. */
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** The text with characters that cannot be seen, or that turn others around, shown as what they are: `⟨U+202E⟩`. */
export const bare = (text: string): string =>
  text.replace(UNSEEN, (character) => `⟨U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`);
