// Owns how components reach the page's actions.

import { createContext } from "preact";
import { useContext } from "preact/hooks";

import type { Chat } from "./chat.js";

export const ChatContext = createContext<Chat | null>(null);

/** The page's chat. */
export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (chat === null) throw new Error("outside of the app");
  return chat;
}
