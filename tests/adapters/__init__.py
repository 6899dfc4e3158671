"""Tests of the adapters of agents."""
