// Owns the hook for what people read.

import { visible } from "../branch.js";
import type { MessageItem } from "../protocol.js";
import type { Session } from "../session.js";
import type { View } from "../view.js";
import { copyOf } from "./copies.js";
import { useView } from "./useView.js";

const messagesOf = (view: View): MessageItem[] =>
  visible(view).filter((item) => item.kind === "message").map((item) => copyOf(view, item));

/** The messages of the branch shown, in order. A message that did not change is the same object as before. */
export const useMessages = (session: Session): MessageItem[] => useView(session, messagesOf);
