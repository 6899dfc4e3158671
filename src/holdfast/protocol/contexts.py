"""Attachments that are no files of a person's: what a client sent beside the words, for the agent's code to read."""

from __future__ import annotations

from typing import Final

AG_UI: Final = "application/vnd.ag-ui.context+json"
"""The tools and the context an AG-UI client declared, and its ``forwardedProps``."""
OPENAI_REQUEST: Final = "application/vnd.openai.response-request+json"
"""A request to the Responses API, where it said more than words."""
ALL: Final = frozenset({AG_UI, OPENAI_REQUEST})
