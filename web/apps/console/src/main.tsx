// The console begins here: the token from its address, one client, one app.

import "holdfast-look/look.css";
import "uplot/dist/uPlot.min.css";
import "./console.css";

import { escapeInvisibleEverywhere, type RequestError, startWithToken } from "holdfast-look";
import { render } from "preact";

import { App } from "./app.js";
import { Console } from "./console.js";
import { requestLoginToken } from "./login.js";
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
  const show = (operator: Console | null, login = false, error: RequestError | null = null) => {
    window.operator = operator;
    render(<App operator={operator} login={login} error={error} />, root);
  };
  if (token) show(new Console(token));
  else {
    requestLoginToken().then(
      (found) => show(found ? new Console(found, async () => (await requestLoginToken()) ?? "") : null, found !== null),
      (error: RequestError) => show(null, true, error),
    );
  }
});
