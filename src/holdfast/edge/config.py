"""Settings of a server: read from ``HOLDFAST_*`` in the environment, overridden by the command line.

Every setting is described in docs/reference/settings.md, which a test holds against this file.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from holdfast.errors import HoldfastError
from holdfast.protocol import limits

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@,*]+/?")
_LISTS = {"origins", "hosts", "algorithms", "extensions"}
PREFIX = "HOLDFAST_"
"""What every setting begins with in the environment."""


class Settings(BaseModel):
    """How one server behaves; immutable. Nothing is open by default (ACC-6)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    db: str = Field(default="holdfast.db", description="Database: a path, or memory: for a trial that forgets.")
    host: str = Field(default="127.0.0.1", description="Address to bind.")
    port: int = Field(default=7417, ge=0, le=65_535, description="Port for everything: HTTP, SSE and WebSocket.")
    origins: tuple[str, ...] = Field(
        default=(), description="Exact origins browsers may come from; the server's own are added."
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="Host names the server answers for, beyond localhost and the bound address."
    )
    issuer: str = Field(default="holdfast", description="Required `iss` of access tokens.")
    audience: str = Field(default="holdfast", description="Required `aud` of access tokens.")
    operator_tenant: str = Field(
        default="default",
        description="The tenant whose operators look after what belongs to no tenant: the consumers of the feed.",
    )
    algorithms: tuple[Literal["HS256", "EdDSA", "RS256", "ES256"], ...] = Field(
        default=("HS256",), min_length=1, description="Accepted signature algorithms: HS256, EdDSA, RS256, ES256."
    )
    secret_file: str = Field(
        default="", description="File with the HS256 secret; generated beside the database by default."
    )
    public_key_file: str = Field(default="", description="PEM public key of the token issuer, instead of a JWKS.")
    jwks_url: str = Field(default="", description="JWKS of the token issuer (https, or http on loopback).")
    webhook_url: str = Field(default="", description="Where to send word to people who are away; empty: nowhere.")
    webhook_secret_file: str = Field(
        default="",
        description="File with the webhook signing secret (whsec_…); generated beside the database by default.",
    )
    lease_s: float = Field(
        default=limits.LEASE_S, gt=0.2, le=3_600, description="How long an attempt lives without a heartbeat."
    )
    drain_s: float = Field(
        default=limits.DRAIN_S, ge=0, le=600, description="How long a shutdown waits for work in flight."
    )
    connections: int = Field(
        default=limits.CONNECTIONS,
        ge=1,
        description="Most connections of one tenant; an eighth more is kept for others.",
    )
    connections_per_principal: int = Field(
        default=limits.CONNECTIONS_PER_PRINCIPAL,
        ge=1,
        description="Most connections of one principal and all it minted.",
    )
    strangers: int = Field(
        default=limits.STRANGERS,
        ge=1,
        description="Most connections without a token; the one silent longest goes first.",
    )
    work_per_s: float = Field(
        default=limits.WORK_PER_S,
        gt=0,
        description="Bytes per second that one principal and all it minted may have worked on, JSON values counted extra.",
    )
    requests_per_s: float = Field(
        default=limits.REQUESTS_PER_S, gt=0, description="Operations per second and connection, or principal over REST."
    )
    appends_per_s: float = Field(
        default=limits.APPENDS_PER_S, gt=0, description="Appended events per second and connection."
    )
    metrics_open: bool = Field(
        default=False, description="Serve /metrics to anybody who can connect, not only to loopback and admins."
    )
    extensions: tuple[str, ...] = Field(
        default=(), description="Names of extensions to load, in the order in which they start; none by default."
    )
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$", description="How much is logged.")

    @field_validator("origins")
    @classmethod
    def _origins_can_match(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin; write scheme://host or scheme://host:port")
        return origins

    @field_validator("hosts")
    @classmethod
    def _hosts_can_match(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host:
                raise ValueError(f"{host!r} is no host name; leave out the scheme and the path")
        return hosts


def load(overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment and the overrides that are not None.

    Raises:
        HoldfastError: ``config.invalid``, naming the setting.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for name in Settings.model_fields:
        raw = environ.get(PREFIX + name.upper())
        if raw is not None:
            values[name] = tuple(part.strip() for part in raw.split(",") if part.strip()) if name in _LISTS else raw
    values.update({name: value for name, value in (overrides or {}).items() if value is not None})
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HoldfastError("config.invalid", f"setting {where!r}: {first['msg']}") from None


def misspelt(environ: Mapping[str, str] | None = None, elsewhere: Collection[str] = ()) -> dict[str, str]:
    """Names in the environment that are no setting and look like one, and what was probably meant.

    Others stay unmentioned: clients have variables of the same prefix, and so has every program of a cluster in which
    a service is called ``holdfast``. ``elsewhere``: names that somebody else reads, such as those of extensions.
    """
    names = [PREFIX + name.upper() for name in Settings.model_fields]
    present = sorted({*(os.environ if environ is None else environ)} - {*names, *elsewhere})
    close_matches = {
        name: difflib.get_close_matches(name, names, 1, 0.85) for name in present if name.startswith(PREFIX)
    }
    return {name: close[0] for name, close in close_matches.items() if close}
