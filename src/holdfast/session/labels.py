"""Labels: short facts about work that whoever signs tokens vouches for, such as its team, workflow or cost centre.

They are opaque here, but for the one question whether a person waits. They come from signed claims and from nowhere else, are copied to the runs that a principal queues,
and are inherited by what those runs start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from holdfast.errors import Code, Refused
from holdfast.protocol import limits

_NAME: Final = re.compile(rf"[a-z][a-z0-9_]{{0,{limits.LABEL_NAME_CHARS - 1}}}")

SIGN_IN: Final = "sign_in"
"""When a person signed in interactively, Unix seconds: the one label that nobody adds or changes who mints a token from
another. It is beside the bound of labels in a token."""
USAGE: Final = "usage"
SEATED: Final = "seated"
HEADLESS: Final = "headless"
_SECONDS: Final = re.compile(r"[1-9][0-9]{0,11}")

Labels = tuple[tuple[str, str], ...]
"""Names with their values, sorted by name."""


def is_seated(labels: Mapping[str, str]) -> bool:
    """Whether a person waits for the work: its label ``usage`` says ``seated``; or it says nothing, and ``sign_in`` says that a
    person has signed in. Work of which nobody knows is headless."""
    usage = labels.get(USAGE, "")
    return usage == SEATED or (not usage and SIGN_IN in labels)


def parse(claim: Any, code: Code = "auth.invalid") -> Labels:
    """The labels of a token's ``labels`` claim: ``{"team": "sales", "usage": "headless"}``.

    Raises:
        Refused: ``code`` when they are not bounded texts under plain names.
    """
    if not isinstance(claim, dict) or len(claim) > limits.LABELS + (SIGN_IN in claim):
        raise Refused(code, f"labels must be an object of at most {limits.LABELS} names")
    for name, value in claim.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Refused(code, f"label {name!r:.80}: a name is of a-z, 0-9 and _, and begins with a letter")
        if not isinstance(value, str) or not 1 <= len(value) <= limits.LABEL_CHARS or not value.isprintable():
            raise Refused(code, f"label {name}: a value is a text of 1 to {limits.LABEL_CHARS} characters")
    return tuple(sorted(claim.items()))


def signed_in(labels: Labels, auth_time: Any, until_s: float) -> Labels:
    """The labels of a person whose issuer says by ``auth_time`` (OpenID Connect Core 1.0, section 2) when they signed in. That
    is the only word of it then; a moment that is none, or lies ahead, is no sign-in.

    Args:
        until_s: Unix seconds, the latest moment that is believed.
    """
    others = {name: value for name, value in labels if name != SIGN_IN}
    if type(auth_time) in (int, float) and 1 <= auth_time <= until_s:
        others[SIGN_IN] = str(int(auth_time))
    return tuple(sorted(others.items()))


def check_sign_in(labels: Labels, until_s: float) -> None:
    """Refuse (``auth.invalid``) labels whose sign-in is no moment, or lies ahead."""
    value = dict(labels).get(SIGN_IN)
    if value is not None and not (_SECONDS.fullmatch(value) and int(value) <= until_s):
        raise Refused("auth.invalid", f"label {SIGN_IN}: Unix seconds that have been")
