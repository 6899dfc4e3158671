// The page begins here: the token from its address, one client, one app.

import "holdfast-look/look.css";
import "./conversation.css";
import "./panes.css";

import { escapeInvisibleEverywhere, startWithToken } from "holdfast-look";
import { render } from "preact";

import { App } from "./app.js";
import { Chat } from "./chat.js";

declare global {
  interface Window {
    /** For the curious, and for the tests. */
    holdfast: Chat | null;
  }
}

const root = document.getElementById("app")!;
escapeInvisibleEverywhere();
window.holdfast = null;
startWithToken(root, (session) => `#/${session}`, (token) => {
  window.holdfast = token ? new Chat(token) : null;
  render(<App chat={window.holdfast} />, root);
});
