// Owns the WebSocket transport. The token goes in the first message, never in the URL.

import { lost } from "./errors.js";
import { fromClose, type Dial } from "./transport.js";

/** What is needed of a WebSocket: the browser's, or that of a package such as `ws`. */
export type WebSocketLike = new (url: string, protocols?: string | string[]) => {
  onopen: ((event: any) => unknown) | null;
  onmessage: ((event: any) => unknown) | null;
  onclose: ((event: any) => unknown) | null;
  onerror: ((event: any) => unknown) | null;
  send(data: string): void;
  close(code?: number): void;
};

/** The WebSocket address of a server. */
export const socketUrl = (server: string): string => `${server.replace(/^http/, "ws")}/v1/connect`;

/** Dials `/v1/connect` of a server; `opened` hears whether the socket itself came to be. */
export const websocketDial = (server: string, Socket: WebSocketLike, opened?: (well: boolean) => void): Dial =>
  (hello, sink) => {
    const socket = new Socket(socketUrl(server), "holdfast.v1");
    let open = false;
    const quiet = () => (socket.onopen = socket.onmessage = socket.onclose = null);
    socket.onopen = () => {
      open = true;
      opened?.(true);
      socket.send(JSON.stringify({ op: "hello", id: 0, ...hello }));
    };
    socket.onmessage = ({ data }: { data: string }) => sink.received(JSON.parse(data), data.length);
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      quiet();
      if (!open) opened?.(false);
      sink.lost(open ? fromClose(code, reason) : lost("The WebSocket could not be opened."));
    };
    socket.onerror = () => {}; // a close follows; without a listener some packages throw
    return {
      kind: "websocket",
      send: (message) => socket.send(JSON.stringify(message)),
      close: () => {
        quiet();
        socket.close();
      },
    };
  };
