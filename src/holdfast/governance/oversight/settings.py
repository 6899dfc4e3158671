"""Settings of the login, ``HOLDFAST_GOVERNANCE_OIDC_…``, and what they mean. What cannot be enforced is refused here."""

from __future__ import annotations

from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from pydantic import Field

from holdfast.errors import HoldfastError
from holdfast.extensions import ExtensionSettings
from holdfast.governance import limits
from holdfast.governance.oversight.roles import ROLES, Role

PREFIX: Final = "HOLDFAST_GOVERNANCE_"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_WAYS: Final = ("env:", "file:", "command:")


class LoginSettings(ExtensionSettings):
    """How people log in to the console; without an issuer nobody does, and the console asks for a token."""

    oidc_issuer: str = Field(
        default="", description="Address of the identity provider, as its tokens name it in `iss`."
    )
    oidc_client_id: str = Field(default="", description="What the provider calls this server.")
    oidc_client_secret: str = Field(
        default="",
        description="Where the secret it gave is: `env:NAME`, `file:PATH` or `command:PROGRAM`; empty for a public client.",
    )
    oidc_public_url: str = Field(
        default="", description="Address under which browsers reach this server: https, or http on this machine."
    )
    oidc_roles: str = Field(
        default="",
        description="Which group has which role: `GROUP=ROLE;GROUP=ROLE`. Roles: owner, operator, finops, auditor.",
    )
    oidc_groups_claim: str = Field(default="groups", description="The claim with the groups of somebody.")
    oidc_actor_claim: str = Field(
        default="sub",
        description="The claim that names somebody here: `user:` and its value. `email` has to be verified.",
    )
    oidc_unit_claim: str = Field(
        default="department",
        description="The claim with somebody's unit, compared with the names of teams; it counts where no directory keeps people.",
    )
    oidc_scopes: str = Field(default="openid profile email", description="Scopes to ask for; `openid` is one of them.")
    oidc_contact: str = Field(
        default="whoever runs this server",
        description="Whom somebody without a role asks for one: a name, a team, an address. It is shown to them.",
    )
    oidc_tenant: str = Field(default="default", description="The tenant of everybody who logs in.")


class LoginConfig(NamedTuple):
    """What the settings say, checked.

    Attributes:
        public_url: origin of this server, without a slash at its end.
        roles: group to roles.
        contact: whom somebody without a role asks.
        secure: whether browsers reach it by https: cookies are bound to that then.
    """

    issuer: str
    client_id: str
    client_secret: str
    public_url: str
    roles: dict[str, tuple[Role, ...]]
    groups_claim: str
    actor_claim: str
    unit_claim: str
    scopes: str
    contact: str
    tenant: str
    secure: bool


def login_config(settings: LoginSettings) -> LoginConfig | None:
    """What the settings say; None when there is no login.

    Raises:
        HoldfastError: ``config.invalid``, naming the setting.
    """
    if not settings.oidc_issuer:
        for name, field in LoginSettings.model_fields.items():
            if getattr(settings, name) != field.default:
                raise _invalid(name, "it says how people log in, but no issuer is named", "oidc_issuer")
        return None
    _check_url("oidc_issuer", settings.oidc_issuer)
    if not settings.oidc_client_id:
        raise _invalid("oidc_client_id", "without it no token of the provider can be held to be meant for this server")
    if settings.oidc_client_secret and not settings.oidc_client_secret.startswith(_WAYS):
        raise _invalid("oidc_client_secret", "a secret stands in no setting: write env:NAME, file:PATH or command:…")
    if not settings.oidc_public_url:
        raise _invalid("oidc_public_url", "without it the provider cannot send anybody back")
    _check_url("oidc_public_url", settings.oidc_public_url)
    public = urlsplit(settings.oidc_public_url)
    if public.path not in ("", "/") or public.query or public.fragment:
        raise _invalid("oidc_public_url", "it is scheme, host and port and nothing more")
    if "openid" not in settings.oidc_scopes.split():
        raise _invalid("oidc_scopes", "without openid the provider says of nobody who they are")
    if not settings.oidc_groups_claim or not settings.oidc_actor_claim:
        raise _invalid("oidc_groups_claim", "it and oidc_actor_claim name a claim")
    if not 0 < len(settings.oidc_contact) <= limits.LOGIN_CONTACT_CHARS or not settings.oidc_contact.isprintable():
        raise _invalid("oidc_contact", f"it is a line of 1 to {limits.LOGIN_CONTACT_CHARS} characters")
    return LoginConfig(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret,
        _origin(public.scheme, public.netloc),
        _roles(settings.oidc_roles),
        settings.oidc_groups_claim,
        settings.oidc_actor_claim,
        settings.oidc_unit_claim,
        settings.oidc_scopes,
        settings.oidc_contact,
        settings.oidc_tenant,
        public.scheme == "https",
    )


def _origin(scheme: str, netloc: str) -> str:
    """As browsers write it: in small letters, without the port that its scheme has anyway."""
    return f"{scheme}://{netloc.lower().removesuffix({'https': ':443', 'http': ':80'}[scheme])}"


def _roles(text: str) -> dict[str, tuple[Role, ...]]:
    found: dict[str, tuple[Role, ...]] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        group, sign, role = part.rpartition("=")
        group, role = group.strip(), role.strip()
        if not sign or not group or role not in ROLES:
            raise _invalid("oidc_roles", f"{part.strip()!r:.100}: write GROUP=ROLE; roles are {', '.join(ROLES)}")
        found[group] = (*found.get(group, ()), cast(Role, role))
    if not found:
        raise _invalid("oidc_roles", "no group has a role, so nobody could log in")
    return found


def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _invalid(name, "it is no address") from None
    if not host or parts.username is not None or parts.query or parts.fragment:
        raise _invalid(name, "it is no address, or it holds more than one")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise _invalid(name, "it has to be https, or http on this machine: what a network can read, it can change")


def _invalid(name: str, reason: str, also: str = "") -> HoldfastError:
    where = f"{PREFIX}{name.upper()}"
    fix = f"Set {PREFIX}{also.upper()}, or leave this out." if also else "See docs/howto/login.md."
    return HoldfastError("config.invalid", f"setting {where}: {reason}", fix=fix)
