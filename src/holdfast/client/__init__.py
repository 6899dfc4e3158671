"""The client: one connection, many sessions. Knows the protocol only."""
