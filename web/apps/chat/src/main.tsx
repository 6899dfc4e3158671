// The page begins here: the token from its address, one client, one app.

import "holdfast-look/look.css";
import "./conversation.css";
import "./panes.css";

import { borrow, lend } from "holdfast-look";
import { render } from "preact";

import { App } from "./app.js";
import { arrive, keep } from "./arrive.js";
import { Chat } from "./chat.js";

const token = arrive() || keep(await borrow());
if (token) lend(token);
const chat = token ? new Chat(token) : null;
render(<App chat={chat} />, document.getElementById("app")!);

declare global {
  interface Window {
    /** For the curious, and for the tests. */
    holdfast: Chat | null;
  }
}
window.holdfast = chat;
