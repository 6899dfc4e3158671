// The public names of holdfast-ai/ai-sdk.

export { HoldfastChatTransport, type ChatTransportOptions, type SendMessagesOptions } from "./transport.js";
export { toUIMessages } from "./messages.js";
export type { UIMessageLike } from "./ui-message.js";
export { followTurns, type ChatLike } from "./turns.js";
export type { Chunk, Version } from "./calls.js";
