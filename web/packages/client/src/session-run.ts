// Owns `Run` as the package exports it: a run in a `Session`.

import { Run as RunIn } from "./run.js";
import type { Session } from "./session.js";

/** A run of a session, by id. Nothing happens to it when this object, or the connection, goes away. */
export type Run = RunIn<Session>;
export const Run = RunIn;
