"""What a terminal shows beside an approval: what the workflow behind it could do wrong, where the server's governance knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from holdfast.cli import output
from holdfast.client.client import Client
from holdfast.client.websocket import http_url
from holdfast.protocol import limits

EXTENSION: Final = "governance"
UNKNOWN: Final = "What this could do is not known just now: the server did not say."


class Radii:
    """The sentences for the approvals of a session.

    Args:
        client: connected to the server at ``url``.
        token: whose they are.
    """

    def __init__(self, client: Client, url: str, token: str, session: str) -> None:
        self.are_known = EXTENSION in client.connection.welcome.extensions
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"}
        self._path = f"/v1/x/governance/workflows/radius/{quote(session, safe='')}"

    async def sentence(self, item: Mapping[str, Any]) -> str:
        """The sentence for an approval; empty at a server without governance, which is not even asked."""
        if not self.are_known:
            return ""
        try:
            async with httpx.AsyncClient(timeout=limits.REQUEST_TIMEOUT_S, trust_env=False) as http:
                facts = {"run": item.get("run") or ""}
                answer = await http.get(http_url(self._url) + self._path, params=facts, headers=self._headers)
                return str(answer.raise_for_status().json()["sentence"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return UNKNOWN  # it can be decided all the same

    async def field(self, item: Mapping[str, Any]) -> dict[str, str]:
        """The same as a field of the approval; none where there is no sentence."""
        sentence = await self.sentence(item)
        return {"radius": sentence} if sentence else {}

    @staticmethod
    def say(sentence: str) -> None:
        """Print it, where there is one."""
        if sentence:
            output.say(f"  Blast radius: {sentence}", style="dim")
