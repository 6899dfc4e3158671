"""Agents: the context of a run, and the worker that executes it. Knows the client only."""
