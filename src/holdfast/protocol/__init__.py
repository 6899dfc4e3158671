"""The protocol: events, operations, frames, limits and the fold. Pure."""
