"""What browsers must pass: an exact Origin list, and a Host allow-list against DNS rebinding (ACC-5)."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.edge.config import Settings
from holdfast.errors import Refused

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class BrowserCheck:
    """The lists, made once from the settings."""

    def __init__(self, settings: Settings) -> None:
        bound = f"[{settings.host}]" if ":" in settings.host else settings.host
        names = {*LOOPBACK, bound.lower(), *(host.lower() for host in settings.hosts)}
        self._any_host = "*" in settings.hosts
        self._hosts = names
        self._origins = {origin.lower().rstrip("/") for origin in settings.origins}

    def check(self, headers: Iterable[tuple[bytes, bytes]], *, any_host: bool = False) -> None:
        """Refuse a request, as ASGI gives its headers, by Host or Origin."""
        host = single_header(headers, b"host")
        if not any_host:
            self.host(host)
        self.origin(single_header(headers, b"origin"), host)

    def host(self, header: str | None) -> None:
        """Refuse a Host the server does not answer for (``auth.host``)."""
        if self._any_host:
            return
        name = (header or "").lower()
        bare = name.rsplit(":", 1)[0] if not name.endswith("]") and ":" in name else name
        if bare not in self._hosts:
            raise Refused("auth.host")

    def origin(self, header: str | None, host: str | None) -> None:
        """Refuse a browser's Origin that is neither listed nor the very host it is talking to (``auth.origin``)."""
        if header is None or self.is_listed(header):
            return
        own = (host or "").lower()
        if not own or header.lower() not in (f"http://{own}", f"https://{own}"):
            raise Refused("auth.origin")

    def is_listed(self, header: str) -> bool:
        """Whether pages of this origin, served from elsewhere, may call (CORS)."""
        return header.lower() in self._origins


def single_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The one value of a header; two of them would let two readers see different things."""
    values = [value for key, value in headers if key == name]
    if len(values) > 1:
        raise Refused("input.malformed", f"{name.decode()}: given more than once", fix="Send this header once.")
    return values[0].decode("latin1") if values else None
