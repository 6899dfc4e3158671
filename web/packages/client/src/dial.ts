// Owns the choice of what carries messages: a WebSocket, or SSE and POST where WebSockets are blocked or missing.

import { lost } from "./errors.js";
import type { Http } from "./http.js";
import type { Dial, Transport } from "./transport.js";
import { socketTo, websocketDial, type WebSocketLike } from "./websocket.js";

const TRIES = 2; // WebSockets in a row that could not be opened, before HTTP is tried

/** A dial that is loaded when it is needed. */
export const lazily = (load: () => Promise<Dial>): Dial => (hello, sink) => {
  let made: Transport | undefined;
  let closed = false;
  load().then((dial) => closed || (made = dial(hello, sink)), (error) => closed || sink.lost(lost(String(error))));
  return {
    get kind() {
      return made!.kind;
    },
    send: (message) => made!.send(message),
    close: () => {
      closed = true;
      made?.close();
    },
  };
};

/** Dials a WebSocket; when none can be opened, a connection over HTTP that goes back to a WebSocket when one can. */
export function serverDial(http: Http, Socket: WebSocketLike | undefined, fallback: boolean): Dial {
  let failures = 0;
  const opened = (well: boolean) => (failures = well ? 0 : failures + 1);
  /** HTTP is left, for a WebSocket: at once, or when one can be opened. */
  const leave = (whenOpen?: () => void) => {
    if (!whenOpen) return void (failures = 0);
    const socket = Socket && socketTo(http.server, Socket);
    if (socket) socket.onopen = () => (socket.close(), (failures = 0), whenOpen());
  };
  const sse = lazily(async () => (await import("./sse.js")).sseDial(http, leave));
  return (hello, sink) =>
    Socket && (!fallback || failures < TRIES)
      ? websocketDial(http.server, Socket, opened)(hello, sink)
      : sse(hello, sink);
}
