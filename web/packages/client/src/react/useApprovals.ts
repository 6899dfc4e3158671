// Owns the hook for what waits for a person's decision.

import type { ApprovalItem } from "../protocol.js";
import type { Session } from "../session.js";
import type { View } from "../view.js";
import { copyOf } from "./copies.js";
import { useView } from "./useView.js";

const pendingApprovals = (view: View): ApprovalItem[] =>
  view.items
    .filter((item): item is ApprovalItem => item.kind === "approval" && item.status === "pending" && item.purpose !== "call")
    .map((item) => copyOf(view, item));

/** Approvals that wait for a person, oldest first; decide with `session.approve(id, { hash })` or `session.deny`. */
export const useApprovals = (session: Session): ApprovalItem[] => useView(session, pendingApprovals);
