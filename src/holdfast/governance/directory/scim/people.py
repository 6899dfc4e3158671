"""What a SCIM document says of somebody, and of a group. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.governance import limits
from holdfast.governance.directory.model import DirectoryPerson
from holdfast.governance.directory.resources import DirectoryGroup
from holdfast.governance.directory.scim.tolerance import ENTERPRISE


class Unusable(Exception):
    """A value with which nobody could be found again; the message names it."""


def person_of(document: Mapping[str, Any], ident: str, created_ms: int, changed_ms: int) -> DirectoryPerson:
    """Somebody by their document.

    Raises:
        Unusable: for a user name or an address that cannot be one.
    """
    user_name = _name(document, "userName")
    if not user_name.strip():
        raise Unusable("userName is empty")
    name = document.get("name") or {}
    parts = (name.get("givenName") or "", name.get("familyName") or "")
    display = document.get("displayName") or name.get("formatted") or " ".join(part for part in parts if part)
    enterprise = document.get(ENTERPRISE) or {}
    return DirectoryPerson(
        id=ident, user_name=user_name, external_id=_name(document, "externalId"), email=_email(document),
        display=_line(display), user_type=_line(document.get("userType")), active=document.get("active") is not False,
        unit=_line(enterprise.get("department") or enterprise.get("organization")), source="scim",
        created_ms=created_ms, changed_ms=changed_ms,
    )  # fmt: skip


def group_of(document: Mapping[str, Any], ident: str) -> DirectoryGroup:
    """A group by its document. Raises as ``person_of`` does."""
    return DirectoryGroup(ident, _line(document.get("displayName")), _name(document, "externalId"))


def _email(document: Mapping[str, Any]) -> str:
    """The primary address: the one that says so, else the one for work, else the first."""
    listed = [one for one in document.get("emails") or [] if one.get("value")]
    listed.sort(key=lambda one: (one.get("primary") is not True, str(one.get("type")).lower() != "work"))
    return _name(listed[0], "value") if listed else ""


def _name(document: Mapping[str, Any], field: str) -> str:
    """A value by which something is found: whole or not at all."""
    value = document.get(field) or ""
    if len(value) > limits.DIRECTORY_NAME_CHARS or not value.isprintable():
        raise Unusable(f"{field}: a line of at most {limits.DIRECTORY_NAME_CHARS} characters")
    return str(value)


def _line(value: Any) -> str:
    """A value that is shown: without what is no print, and cut where it is too long."""
    text = "".join(character for character in str(value or "") if character.isprintable())
    return text[: limits.DIRECTORY_NAME_CHARS].strip()
