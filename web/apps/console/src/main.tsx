// The console begins here: the token from its address, one client, one app.

import "holdfast-look/look.css";
import "uplot/dist/uPlot.min.css";
import "./console.css";

import { escapeInvisibleEverywhere, startWithToken } from "holdfast-look";
import { render } from "preact";

import { App } from "./app.js";
import { Console } from "./console.js";
import { addressOf } from "./route.js";

declare global {
  interface Window {
    /** For the curious, and for the tests. */
    operator: Console | null;
  }
}

const root = document.getElementById("app")!;
escapeInvisibleEverywhere();
window.operator = null;
startWithToken(root, (session) => addressOf("session", session), (token) => {
  window.operator = token ? new Console(token) : null;
  render(<App operator={window.operator} />, root);
});
