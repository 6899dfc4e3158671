// Owns when to try again: exponential backoff with full jitter, so that a thousand pages do not come back at once.

const BASE_MS = 250;
const CAP_MS = 10_000;

/** Milliseconds before the try after `failures` failures: uniform in 0 .. min(cap, base · 2^failures). */
export const delayMs = (failures: number): number => Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** failures);
