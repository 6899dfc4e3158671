// The public names of holdfast-ai/ai-sdk.

export { HoldfastChatTransport, type ChatTransportOptions, type SendMessagesOptions } from "./transport.js";
export { toUIMessages, type UIMessageLike } from "./messages.js";
export { followTurns, type ChatLike } from "./turns.js";
export type { Chunk, Version } from "./calls.js";
