"""As ``adk create`` writes it."""

from . import agent as agent
