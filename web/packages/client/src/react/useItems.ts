// Owns the hook for everything the shown branch of a session holds.

import { visible } from "../branch.js";
import type { Item } from "../protocol.js";
import type { Session } from "../session.js";
import type { View } from "../view.js";
import { copyOf } from "./copies.js";
import { useView } from "./useView.js";

const itemsOf = (view: View): Item[] => visible(view).map((item) => copyOf(view, item));

/** Messages, reasoning, tools, steps, activities, approvals and steers of the branch shown, in order. An item that did
 * not change is the same object as before, so that a memoised component is not drawn again. */
export const useItems = (session: Session): Item[] => useView(session, itemsOf);
