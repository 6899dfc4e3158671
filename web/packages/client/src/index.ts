// The public names of holdfast-ai.

export { Client, connect, type ConnectOptions } from "./client.js";
export type { Code } from "./codes.js";
export { HoldfastError, type AnyCode, type WireError } from "./errors.js";
export type { Connection, RequestOptions, Status } from "./connection.js";
export { Session } from "./session.js";
export type { CancelOptions, InterruptOptions, ResolveOptions, SendOptions, WriteOptions } from "./session-options.js";
export type { ReadingStatus } from "./live.js";
export type { Recovery } from "./recovery.js";
export { getBlob, putBlob } from "./blobs.js";
export { browserToolOf, serveTools, type ServeToolsOptions, type Tool, type ToolCall, type ToolFunction, type Tools } from "./tools.js";
export { Run } from "./session-run.js";
export { Events } from "./events.js";
export type { Snapshot } from "./feed.js";
export { SessionList } from "./list.js";
export { newKey, type StorageLike } from "./outbox.js";
export type { Dial, Hello, Sink, Transport } from "./transport.js";
export type { WebSocketLike } from "./websocket.js";
export { ended, FOLD_VERSION, View } from "./view.js";
export { newestLeaf, rootOf, siblingInputs, siblingRuns, visible } from "./branch.js";
export type * from "./protocol.js";
