// Owns the bounds that this side tests too. The same names and values as in src/holdfast/protocol/limits.py.

export const MESSAGE_BYTES = 1 << 20; // one message
export const MESSAGE_DEPTH = 64; // nesting of a whole message or view: data, and what it is wrapped in
export const JSON_DEPTH = 32; // nesting of data
export const STATE_BYTES = 256 << 10; // the shared state of a session, as canonical JSON
