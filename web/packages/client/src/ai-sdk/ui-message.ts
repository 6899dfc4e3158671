// Owns the shape of a message of the AI SDK.

/** A `UIMessage` of the `ai` package, whichever version. */
export interface UIMessageLike {
  id: string;
  role: "system" | "user" | "assistant";
  parts: any[];
  metadata?: any;
}
