// Owns what carries messages between this client and a server, whatever it is made of.

import type { WireError } from "./errors.js";
import type { Op, ServerMessage } from "./protocol.js";

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
  /** The transport is gone, or could not be made; `retry` says whether another may do better. */
  lost(error: WireError): void;
}

/** An operation as it is sent: its answer names its number. */
export type OpRequest = Op & { id: number };

/** One transport's life. */
export interface Transport {
  readonly kind: "websocket" | "sse" | "tab";
  /** Send an operation; called only after `welcome`. */
  send(message: object): void;
  /** End it; the sink is not called any more. */
  close(): void;
}

/** Opens a transport and introduces the client on it. */
export type Dial = (hello: Hello, sink: Sink) => Transport;
