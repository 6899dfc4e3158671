"""What the gateway serves: upstreams by name, read from one YAML file. Keys stand in it by reference and never themselves."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from holdfast.errors import HoldfastError
from holdfast.protocol import limits

Shape = Literal["openai", "anthropic"]
"""Which wires an upstream speaks: chat completions, Responses and embeddings; or Anthropic's messages."""
_SHIPPED = ConfigDict(frozen=True, extra="forbid")
_SECRET_WAYS = ("env:", "file:", "command:")


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ValueError("an address begins with http:// or https:// and has no name, password or query")
    return value.rstrip("/")


def _reference(value: str, what: str) -> str:
    if value and not value.startswith(_SECRET_WAYS):
        raise ValueError(f"{what} stands here by reference: env:NAME, file:PATH or command:PROGRAM")
    return value


class Upstream(BaseModel):
    """A provider's address, with what it serves.

    Attributes:
        name: by which rows, rate cards and pages name it.
        url: base address, as the provider's own clients take it.
        shape: which wires it speaks.
        provider: as price catalogues name whose models it serves; the shape's own name when left out.
        key: ``env:NAME``, ``file:PATH`` or ``command:PROGRAM ARGUMENTS``; empty for an upstream without keys.
        models: what may be asked of it: names, patterns with ``*``, or ``ours=theirs``.
        on_leave: what happens to the upstream's stream when nobody waits for it any more: it is cut, and what was not
            reported is estimated; or it is drained, and what it reports is billed.
        on_brake: the same when a budget ends its answer in the middle.
        retries: how often the same upstream is asked again before the next one is.
        connect_s, first_s, idle_s: bounds on connecting, on the first byte, and between two reads.
        streams: the most at a time.
        seated_share: the part of them that is kept free for calls for which a person waits; at least one of two or more,
            unless it is 0.
    """

    model_config = _SHIPPED

    name: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")
    url: str
    shape: Shape = "openai"
    provider: str = ""
    key: str = ""
    models: tuple[str, ...] = ("*",)
    on_leave: Literal["cut", "drain"] = "cut"
    on_brake: Literal["cut", "drain"] = "cut"
    retries: int = Field(default=1, ge=0, le=5)
    connect_s: float = Field(default=10.0, gt=0, le=120)
    first_s: float = Field(default=300.0, gt=0, le=3_600)
    idle_s: float = Field(default=120.0, gt=0, le=3_600)
    streams: int = Field(default=limits.UPSTREAM_STREAMS, ge=1, le=limits.UPSTREAM_STREAMS)
    seated_share: float = Field(default=0.25, ge=0, le=1)

    @field_validator("url")
    @classmethod
    def _provider(cls, value: str) -> str:
        return _address(value)

    @field_validator("key")
    @classmethod
    def _by_reference(cls, value: str) -> str:
        return _reference(value, "a key")

    @property
    def catalogue(self) -> str:
        """Whose models it serves, as price catalogues name it."""
        return self.provider or self.shape

    def serves(self, model: str) -> str | None:
        """What the upstream calls a model; None when it does not serve it."""
        for entry in self.models:
            ours, _, theirs = entry.partition("=")
            if theirs and ours == model:
                return theirs
            if not theirs and fnmatch.fnmatchcase(model, ours):
                return model
        return None

    @property
    def listed(self) -> tuple[str, ...]:
        """The models it names without a pattern."""
        return tuple(name for name in (entry.partition("=")[0] for entry in self.models) if "*" not in name)


class GatewaySettings(BaseModel):
    """All of a gateway's settings.

    Attributes:
        sessions_url: the session server of a gateway alone; empty for none.
        sessions_token: where the token is with which it acts there: by reference, as keys are.
        sessions_agent: the agent whose runs are this gateway's calls. Of several gateways of one server each has its own.
    """

    model_config = _SHIPPED

    upstreams: tuple[Upstream, ...] = ()
    sessions_url: str = ""
    sessions_token: str = "env:HOLDFAST_TOKEN"
    sessions_agent: str = Field(default="model", pattern=r"^[^/\s]{1,64}$")

    @field_validator("sessions_url")
    @classmethod
    def _server(cls, value: str) -> str:
        return _address(value) if value else value

    @field_validator("sessions_token")
    @classmethod
    def _token(cls, value: str) -> str:
        return _reference(value, "a token")

    @model_validator(mode="after")
    def _once(self) -> GatewaySettings:
        names = [upstream.name for upstream in self.upstreams]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two upstreams are called {name!r}")
        return self

    @classmethod
    def load(cls, path: str | Path) -> GatewaySettings:
        """The settings of a YAML file.

        Raises:
            HoldfastError: ``config.invalid``, naming the field.
        """
        try:
            with open(path, "rb") as file:
                raw = file.read(limits.SETTINGS_BYTES + 1)
        except OSError as error:
            raise HoldfastError("config.invalid", f"{path} cannot be read: {error.strerror}") from None
        if len(raw) > limits.SETTINGS_BYTES:
            raise HoldfastError("config.invalid", f"{path} has more than {limits.SETTINGS_BYTES:,} bytes")
        try:
            return cls.of(yaml.safe_load(raw) or {}, str(path))
        except yaml.YAMLError as error:
            where = getattr(error, "problem_mark", None)
            raise HoldfastError(
                "config.invalid", f"{path} is no YAML{f', line {where.line + 1}' if where else ''}"
            ) from None

    @classmethod
    def of(cls, values: Any, where: str) -> GatewaySettings:
        """The settings of plain values. Raises as ``load`` does."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise HoldfastError("config.invalid", f"{where}: {field}: {first['msg']}") from None
