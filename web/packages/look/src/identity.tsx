// Owns as whom a tab speaks: the token that its address brings, which leaves it at once, and the question when the tab spoke as
// somebody else before. A link must not make somebody another person without a word.

import { render } from "preact";

import { Button } from "./glyph.js";
import { borrow, lend } from "./token-sharing.js";
import { speaker } from "./token.js";

const KEPT = "holdfast.token";
const OURS = "holdfast."; // what a tab keeps of a person: token, drafts, views, what is being sent

const given = () => new URLSearchParams(location.hash.slice(1));

/** Take the token from the address, where there is one; a session beside it stays there, as the page names it. */
function brought(hashOf: (session: string) => string): string | null {
  const [token, session] = [given().get("t"), given().get("s")];
  if (token !== null) history.replaceState(null, "", session === null ? location.pathname : hashOf(session));
  return token;
}

/**
 * Begin as whom the address says (`#t=TOKEN&s=SESSION`), the tab remembers, or else another tab lends; ask first when the first
 * two are not one. `begin` gets "" when nobody is named, `hashOf` makes the page's own address of a session.
 */
export function arrive(root: HTMLElement, hashOf: (session: string) => string, begin: (token: string) => void): void {
  addEventListener("hashchange", () => given().has("t") && location.reload()); // another key: begin with it
  const before = sessionStorage.getItem(KEPT);
  const token = brought(hashOf);
  const start = (chosen: string) => {
    if (chosen) {
      sessionStorage.setItem(KEPT, chosen);
      lend(chosen);
    }
    render(null, root);
    begin(chosen);
  };
  if (token === null && before === null) void borrow().then(start); // an address that somebody opened in a second tab
  else if (token === null) start(before!);
  else if (before === null || before === token || (speaker(before) !== "" && speaker(before) === speaker(token))) start(token);
  else render(<WhoAreYou before={speaker(before)} now={speaker(token)} stay={() => start(before)} change={() => { forget(); start(token); }} />, root);
}

/** Nothing of one person is left for the next. */
function forget(): void {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith(OURS)) sessionStorage.removeItem(name);
}

function WhoAreYou({ before, now, stay, change }: { before: string; now: string; stay: () => void; change: () => void }) {
  const [were, are] = [before || "somebody with a key that cannot be read", now || "somebody with a key that cannot be read"];
  return (
    <section id="who" role="alertdialog" aria-labelledby="who-title"><div>
      <h1 id="who-title">Go on as somebody else?</h1>
      <p>In this tab you are <b>{were}</b>. The address you opened brings the key of <b>{are}</b>. What you write then is written, and kept, as {are}.</p>
      <div class="row">
        <Button icon="close" words={`Stay ${were}`} kind="primary" id="stay" onClick={stay} />
        <Button icon="again" words={`Go on as ${are}`} kind="quiet" id="change" onClick={change} />
      </div>
    </div></section>
  );
}
