"""A caller's claim that a person is behind a call: the access token of that person, sent along with the key."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from holdfast.errors import Refused
from holdfast.gateway.port import Caller, People
from holdfast.protocol import limits
from holdfast.session.labels import SIGN_IN

PERSON_HEADER: Final = "x-holdfast-person"


def signed_in(caller: Caller, headers: dict[str, str], people: People | None) -> Caller:
    """The caller with the label ``sign_in`` where the header says whose call it is, and without it else: a key says nothing of
    a person's presence. The header is taken out: nobody further on sees the token.

    Raises:
        Refused: what ``People.verify`` raises; ``config.invalid`` where nobody can read such tokens.
    """
    token = headers.pop(PERSON_HEADER, "")
    labels = {name: value for name, value in caller.labels if name != SIGN_IN}
    if token:
        if people is None:
            fix = f"Leave out {PERSON_HEADER}, or ask the gateway of a session server."
            raise Refused("config.invalid", "this gateway knows no people's tokens", fix=fix)
        if len(token) > limits.TOKEN_CHARS:
            raise Refused("auth.invalid", "the token is too long")
        labels[SIGN_IN] = str(people.verify(token, caller.tenant))
    return structs.replace(caller, labels=tuple(sorted(labels.items())))
