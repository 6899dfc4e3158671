"""The session program: decide and evolve, and who may do what. Pure."""
