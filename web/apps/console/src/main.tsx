// The console begins here: the token from its address, one client, one app.

import "holdfast-look/look.css";
import "uplot/dist/uPlot.min.css";
import "./console.css";

import { borrow, lend } from "holdfast-look";
import { render } from "preact";

import { App } from "./app.js";
import { arrive, Console, keep } from "./console.js";

const token = arrive() || keep(await borrow());
if (token) lend(token);
const operator = token ? new Console(token) : null;
render(<App operator={operator} />, document.getElementById("app")!);

declare global {
  interface Window {
    /** For the curious, and for the tests. */
    operator: Console | null;
  }
}
window.operator = operator;
