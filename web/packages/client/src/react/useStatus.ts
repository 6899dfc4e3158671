// Owns the hook for how the connection stands.

import type { Status } from "../connection.js";
import { useHoldfast } from "./context.js";
import { useChangeCount } from "./frame-scheduler.js";

/** How the connection stands: a new object whenever that changes. */
export function useStatus(): Status {
  const client = useHoldfast();
  useChangeCount(client, "status");
  return client.status;
}
