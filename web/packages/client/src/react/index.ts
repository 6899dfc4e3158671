// The public names of holdfast-ai/react.

export { HoldfastProvider, useHoldfast } from "./context.js";
export { useApprovals } from "./useApprovals.js";
export { useItems } from "./useItems.js";
export { useMessages } from "./useMessages.js";
export { usePresence } from "./usePresence.js";
export { useRun } from "./useRun.js";
export { useSession } from "./useSession.js";
export { useSessions } from "./useSessions.js";
export { useStatus } from "./useStatus.js";
export { useTools } from "./useTools.js";
export { useView } from "./useView.js";
