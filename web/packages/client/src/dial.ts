// Owns the choice of what carries messages: a WebSocket, or SSE and POST where WebSockets are blocked or missing.

import { connectionLost } from "./errors.js";
import type { HttpEndpoint } from "./http.js";
import type { Dial, Transport } from "./transport.js";
import { openSocket, websocketDial, type WebSocketLike } from "./websocket.js";

const MAX_FAILURES = 2; // WebSockets in a row that could not be opened, before HTTP is tried

/** A dial that is loaded when it is needed. */
export const lazyDial = (load: () => Promise<Dial>): Dial => (hello, sink) => {
  let transport: Transport | undefined;
  let closed = false;
  load().then((dial) => closed || (transport = dial(hello, sink)), (error) => closed || sink.lost(connectionLost(String(error))));
  return {
    get kind() {
      return transport!.kind;
    },
    send: (message) => transport!.send(message),
    close: () => {
      closed = true;
      transport?.close();
    },
  };
};

/** Dials a WebSocket; when none can be opened, a connection over HTTP that goes back to a WebSocket when one can. */
export function serverDial(http: HttpEndpoint, Socket: WebSocketLike | undefined, fallback: boolean): Dial {
  let failures = 0;
  const reportOpen = (ok: boolean) => (failures = ok ? 0 : failures + 1);
  /** HTTP is left, for a WebSocket: at once, or when one can be opened. */
  const tryWebSocket = (whenOpen?: () => void) => {
    if (!whenOpen) return void (failures = 0);
    const socket = Socket && openSocket(http.server, Socket);
    if (socket) socket.onopen = () => (socket.close(), (failures = 0), whenOpen());
  };
  const sse = lazyDial(async () => (await import("./sse.js")).sseDial(http, tryWebSocket));
  return (hello, sink) =>
    Socket && (!fallback || failures < MAX_FAILURES)
      ? websocketDial(http.server, Socket, reportOpen)(hello, sink)
      : sse(hello, sink);
}
