"""Durable sessions between AI agents and the people who use them."""

__version__ = "0.1.0"
