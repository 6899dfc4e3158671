// Owns what carries messages between this client and a server, whatever it is made of.

import { HoldfastError, lost } from "./errors.js";
import type { ServerMessage } from "./protocol.js";

/** The first message of a transport: who is asking, and what they use. */
export interface Hello {
  token: string;
  surface: string;
  device: string;
}

/** Who listens to a transport. */
export interface Sink {
  /** A message, and its size in characters. The first is `welcome`, or `error` when it was refused. */
  received(message: ServerMessage, size: number): void;
  /** The transport is gone, or could not be made. */
  lost(error: HoldfastError): void;
}

/** One transport's life. */
export interface Transport {
  readonly kind: "websocket" | "sse" | "tab";
  /** Send an operation; called only after `welcome`. */
  send(message: object): void;
  /** End it; the sink hears nothing more. */
  close(): void;
}

/** Opens a transport and introduces the client on it. */
export type Dial = (hello: Hello, sink: Sink) => Transport;

/** Close codes that a retry with the same token does not cure, and the codes of the errors they stand for. */
const REFUSALS: Record<number, string> = {
  4400: "input.malformed", 4401: "auth.invalid", 4403: "auth.denied", 4410: "auth.expired", 4411: "auth.revoked",
  4413: "auth.origin",
};

/** The error that a close code of a WebSocket stands for (PROTOCOL.md, section 4). */
export function fromClose(code: number, reason: string): HoldfastError {
  const refusal = REFUSALS[code];
  if (!refusal) return lost(reason || undefined);
  return new HoldfastError({ code: refusal, message: reason || refusal, retry: code === 4410 });
}
