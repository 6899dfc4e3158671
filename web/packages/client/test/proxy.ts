// Owns a proxy before a server, whose connections can be cut, blocked and frozen, as networks do.

import { connect as dial, createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

export interface FaultProxy {
  url: string;
  /** End every connection that stands. */
  cut(): void;
  /** Take nothing and give nothing any more, without ending anything: a half-open connection. */
  frozen: boolean;
  /** Refuse what asks for a WebSocket, as some proxies do. */
  blocksWebSockets: boolean;
  close(): Promise<void>;
}

export async function faultProxy(to: string): Promise<FaultProxy> {
  const target = new URL(to);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = dial(Number(target.port), target.hostname);
    for (const [from, into] of [[near, far], [far, near]] as const) {
      sockets.add(from);
      from.on("data", (data) => {
        if (self.frozen) return;
        if (self.blocksWebSockets && from === near && /upgrade: websocket/i.test(data.toString("latin1"))) {
          near.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
          far.destroy();
          return;
        }
        if (!into.destroyed) into.write(data);
      });
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        if (!self.frozen) into.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const self: FaultProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    frozen: false,
    blocksWebSockets: false,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () => {
      self.cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return self;
}
