// Owns the identity of a tab: the token in its address, which is removed from it at once, and the question when the tab had
// another identity before. A link must not change who somebody is without asking.

import { render } from "preact";

import { Button } from "./glyph.js";
import { requestToken, shareToken } from "./token-sharing.js";
import { subjectOf } from "./token.js";

const TOKEN_KEY = "holdfast.token";
const STORAGE_PREFIX = "holdfast."; // what a tab stores of a person: token, drafts, views, what is being sent

const addressParams = () => new URLSearchParams(location.hash.slice(1));

/** Take the token from the address, where there is one; a session beside it stays there, as the page names it. */
function takeToken(hashOf: (session: string) => string): string | null {
  const [token, session] = [addressParams().get("t"), addressParams().get("s")];
  if (token !== null) history.replaceState(null, "", session === null ? location.pathname : hashOf(session));
  return token;
}

/**
 * Begin with the token of the address (`#t=TOKEN&s=SESSION`), of this tab's storage, or else of another tab; ask first when the first
 * two are not one. `startPage` gets "" when nobody is named, `hashOf` makes the page's own address of a session.
 */
export function startWithToken(root: HTMLElement, hashOf: (session: string) => string, startPage: (token: string) => void): void {
  addEventListener("hashchange", () => addressParams().has("t") && location.reload()); // another key: begin with it
  const storedToken = sessionStorage.getItem(TOKEN_KEY);
  const token = takeToken(hashOf);
  const start = (chosen: string) => {
    if (chosen) {
      sessionStorage.setItem(TOKEN_KEY, chosen);
      shareToken(chosen);
    }
    render(null, root);
    startPage(chosen);
  };
  if (token === null && storedToken === null) void requestToken().then(start); // an address that somebody opened in a second tab
  else if (token === null) start(storedToken!);
  else if (storedToken === null || storedToken === token || (subjectOf(storedToken) !== "" && subjectOf(storedToken) === subjectOf(token))) start(token);
  else render(<ConfirmIdentity before={subjectOf(storedToken)} now={subjectOf(token)} stay={() => start(storedToken)} change={() => { clearStorage(); start(token); }} />, root);
}

/** Nothing of one person is left for the next. */
function clearStorage(): void {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith(STORAGE_PREFIX)) sessionStorage.removeItem(name);
}

function ConfirmIdentity({ before, now, stay, change }: { before: string; now: string; stay: () => void; change: () => void }) {
  const [were, are] = [before || "somebody with a key that cannot be read", now || "somebody with a key that cannot be read"];
  return (
    <section id="who" role="alertdialog" aria-labelledby="who-title"><div>
      <h1 id="who-title">Go on as somebody else?</h1>
      <p>In this tab you are <b>{were}</b>. The address you opened brings the key of <b>{are}</b>. What you write then is written, and kept, as {are}.</p>
      <div class="row">
        <Button icon="close" label={`Stay ${were}`} kind="primary" id="stay" onClick={stay} />
        <Button icon="again" label={`Go on as ${are}`} kind="quiet" id="change" onClick={change} />
      </div>
    </div></section>
  );
}
