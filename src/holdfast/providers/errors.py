"""What a codec raises."""

from __future__ import annotations

from holdfast.errors import HoldfastError


class MalformedStream(HoldfastError):
    """The bytes are not a stream of the dialect: code ``upstream.failed``. The only error that a decoder raises.

    What is merely not known is no error: it becomes an ``UnknownPart``.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("upstream.failed", detail)
