"""Agents: what a run is given, and the worker that executes it. Knows the client only."""
