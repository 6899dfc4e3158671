// Owns the WebSocket transport. The token goes in the first message, never in the URL.

import { connectionLost, type WireError } from "./errors.js";
import type { Dial } from "./transport.js";

interface Socket {
  onopen: ((event: any) => unknown) | null;
  onmessage: ((event: any) => unknown) | null;
  onclose: ((event: any) => unknown) | null;
  onerror: ((event: any) => unknown) | null;
  send(data: string): void;
  close(code?: number): void;
}

/** What is needed of a WebSocket: the browser's, or that of a package such as `ws`. */
export type WebSocketLike = new (url: string, protocols?: string | string[]) => Socket;

/** Close codes that a retry with the same token does not cure (PROTOCOL.md, section 4). */
const REFUSALS: Record<number, string> = {
  4400: "input.malformed", 4401: "auth.invalid", 4403: "auth.denied", 4410: "auth.expired", 4411: "auth.revoked",
  4413: "auth.origin",
};

/** The error that a close code stands for. */
function closeError(number: number, message: string): WireError {
  const code = REFUSALS[number];
  return code ? { code, message, retry: number === 4410 } : connectionLost(message || `The socket was closed (${number}).`);
}

/** A socket to `/v1/connect` of a server, that is quiet until its callbacks are set. */
export function openSocket(server: string, SocketClass: WebSocketLike): Socket {
  const socket = new SocketClass(`${server.replace(/^http/, "ws")}/v1/connect`, "holdfast.v1");
  socket.onerror = () => {}; // a close follows; without a listener some packages throw
  return socket;
}

/** Dials `/v1/connect` of a server; `reportOpen` is called with whether the socket itself could be opened. */
export const websocketDial = (server: string, SocketClass: WebSocketLike, reportOpen: (ok: boolean) => void): Dial =>
  (hello, sink) => {
    const socket = openSocket(server, SocketClass);
    let open = false;
    const quiet = () => (socket.onopen = socket.onmessage = socket.onclose = null);
    const send = (message: object) => socket.send(JSON.stringify(message));
    socket.onopen = () => {
      reportOpen((open = true));
      send({ op: "hello", id: 0, ...hello });
    };
    socket.onmessage = ({ data }: { data: string }) => sink.received(JSON.parse(data), data.length);
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      quiet();
      if (!open) reportOpen(false);
      sink.lost(closeError(code, reason));
    };
    return {
      kind: "websocket",
      send,
      close: () => {
        quiet();
        socket.close();
      },
    };
  };
