"""How many tokens something has of which a provider said nothing: from bytes, by one stated rule.

No tokenizer brings its vocabulary along, and providers do not publish all of theirs, so bytes have to do. The rule is
``BYTES_PER_TOKEN`` bytes of UTF-8 for a token, rounded up. Its error is stated in docs/concepts/ledger.md, measured on
recorded exchanges. A tokenizer that falls back to bytes never makes more tokens than there are bytes, which is the bound
that holds always (``most_tokens``).
"""

from __future__ import annotations

from typing import Final

from holdfast.gateway.port import Opening
from holdfast.providers.billing.model import BilledAttempt

BYTES_PER_TOKEN: Final = 4


def likely_tokens(size: int) -> int:
    """Tokens that so many bytes most likely are; 0 for none."""
    return -(-max(0, size) // BYTES_PER_TOKEN)


def most_tokens(size: int) -> int:
    """Tokens that so many bytes are at most."""
    return max(0, size)


def of_opening(opening: Opening) -> BilledAttempt:
    """What an attempt used of which nothing is known but that it was begun: its input, and no output.

    The input is billed by every provider once it was read. What was produced before the attempt was lost is unknown; the
    provider's report tells it, and reconciliation corrects the row.
    """
    counts = {"input": likely_tokens(opening.call.input_bytes)}
    return BilledAttempt(model=opening.model, counts=counts, reported=False)
