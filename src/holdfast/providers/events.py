"""One event of a provider's stream, or a whole body: whether it can matter, seen from its bytes, and what it says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import limits
from holdfast.protocol.bounds import check_nesting
from holdfast.protocol.codec import parse
from holdfast.providers.errors import MalformedStream

_JSON = msgspec.json.Decoder()


def speaks_of(block: bytes, names: Iterable[bytes]) -> bool:
    """Whether one of these names of fields, in quotes, stands in events: as fast as bytes are searched.

    A field that is null does not count. Names within texts are written with backslashes, so they are not found.
    """
    for name in names:
        if found := block.count(name):
            nulls = block.count(name + b":null") + block.count(name + b": null")
            if found > nulls:
                return True
    return False


def value_of(data: bytes) -> Any:
    """The JSON value of one event, or of a body.

    Raises:
        MalformedStream: it is not JSON, or nested too deeply.
    """
    try:
        check_nesting(data, max_depth=limits.PROVIDER_DEPTH)
        return _JSON.decode(data)
    except (Refused, RecursionError):
        raise MalformedStream("an event of the provider's stream is nested too deeply") from None
    except ValueError:
        try:  # halves of surrogate pairs, and bytes that are not UTF-8, which become U+FFFD
            return parse(data.decode("utf-8", "replace"), limits.PROVIDER_DEPTH)
        except ValueError:
            raise MalformedStream("an event of the provider's stream is not JSON") from None
