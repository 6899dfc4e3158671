"""How many tokens a text has, about, where nobody who counted them has said so.

No vocabulary is at hand, and the newest models publish none: bytes are divided. docs/reference/gateway.md says how far off
that is on recorded exchanges.
"""

from __future__ import annotations

from holdfast.protocol import limits


def tokens_of_request(size: int) -> int:
    """About how many tokens a request has whose body has so many bytes, its JSON included; rounded up."""
    return -(-size // limits.INPUT_BYTES_PER_TOKEN)


def output_tokens(size: int) -> int:
    """About how many tokens were generated when so many bytes of text were seen; rounded up."""
    return -(-size // limits.OUTPUT_BYTES_PER_TOKEN)
