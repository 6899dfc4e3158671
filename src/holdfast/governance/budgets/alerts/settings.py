"""Settings of alerts, ``HOLDFAST_GOVERNANCE_ALERT_…`` and ``…_SMTP_…``, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import Field, ValidationError

from holdfast.errors import HoldfastError
from holdfast.extensions import ExtensionSettings
from holdfast.gateway.secrets import SecretReference
from holdfast.governance import limits
from holdfast.governance.messages.mail import MailServer, MailWay
from holdfast.governance.messages.outbox import Way
from holdfast.governance.messages.webhook import WebhookWay

_PREFIX: Final = "HOLDFAST_GOVERNANCE_"
_WAYS: Final = ("env:", "file:", "command:")


class AlertSettings(ExtensionSettings):
    """By which ways alerts of budgets are told; without any they are listed, and nobody is sent for."""

    alert_webhook: str = Field(default="", description="Address that alerts of budgets are sent to, signed.")
    alert_secret: str = Field(
        default="",
        description="Where the key that signs them is: `env:NAME`, `file:PATH` or `command:PROGRAM`. It begins with `whsec_`.",
    )
    alert_private: bool = Field(default=False, description="Whether that address may be one of a private network.")
    smtp_url: str = Field(
        default="",
        description="The mail server: `smtp://USER@HOST:587` (with STARTTLS where it is offered), or `smtps://…:465`.",
    )
    smtp_password: str = Field(
        default="", description="Where its password is: `env:NAME`, `file:PATH` or `command:PROGRAM`."
    )
    alert_mail_from: str = Field(default="", description="Who mails about budgets are from.")
    alert_mail_to: str = Field(default="", description="Who gets them: addresses with commas.")


def from_environment(environ: Mapping[str, str]) -> AlertSettings:
    """The settings of a gateway alone, which is no extension: the same names. Raises ``config.invalid``."""
    named = {
        field: environ[key] for field in AlertSettings.model_fields if (key := f"{_PREFIX}{field.upper()}") in environ
    }
    try:
        return AlertSettings.model_validate(named)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _invalid(str(first["loc"][0]), str(first["msg"])) from None


def ways_of(settings: AlertSettings, now_ms: Callable[[], int], monotonic: Callable[[], float]) -> list[Way]:
    """The ways that are set up.

    Raises:
        HoldfastError: ``config.invalid``, naming the setting.
    """
    ways: list[Way] = []
    if settings.alert_webhook:
        if urlsplit(settings.alert_webhook).scheme not in ("http", "https"):
            raise _invalid("alert_webhook", "an address begins with https:// or http://")
        secret = _secret(settings, "alert_secret", monotonic)
        if secret is None:
            raise _invalid("alert_secret", "a receiver can only believe what is signed")
        ways.append(WebhookWay(settings.alert_webhook, secret.value, now_ms, private=settings.alert_private))
    if settings.smtp_url:
        people = tuple(filter(None, (one.strip() for one in settings.alert_mail_to.split(","))))
        if not settings.alert_mail_from or not people:
            raise _invalid("alert_mail_to", "a mail needs somebody it is from, and somebody it is to")
        if len(people) > limits.ALERT_RECIPIENTS:
            raise _invalid("alert_mail_to", f"{limits.ALERT_RECIPIENTS} addresses at most")
        password = _secret(settings, "smtp_password", monotonic)
        server = mail_server(settings.smtp_url)
        if bool(server.user) != (password is not None):
            raise _invalid("smtp_password", "a user and a password come together")
        ways.append(MailWay(server, password.value if password else None, settings.alert_mail_from, people))
    elif settings.alert_mail_to:
        raise _invalid("smtp_url", "without a server no mail is sent")
    return ways


def mail_server(url: str) -> MailServer:
    """What an address of a mail server says. Raises ``config.invalid``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _invalid("smtp_url", "it is no address") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise _invalid("smtp_url", "write smtp://HOST:587 or smtps://HOST:465")
    if parts.password is not None:
        raise _invalid(
            "smtp_url", "a password stands in no setting: name its place in HOLDFAST_GOVERNANCE_SMTP_PASSWORD"
        )
    implicit = parts.scheme == "smtps"
    return MailServer(parts.hostname, port or (465 if implicit else 587), unquote(parts.username or ""), implicit)


def _secret(settings: AlertSettings, name: str, monotonic: Callable[[], float]) -> SecretReference | None:
    reference: str = getattr(settings, name)
    if not reference:
        return None
    if not reference.startswith(_WAYS):
        raise _invalid(name, "a secret stands in no setting: write env:NAME, file:PATH or command:…")
    return SecretReference(reference, monotonic)


def _invalid(name: str, why: str) -> HoldfastError:
    return HoldfastError("config.invalid", f"{_PREFIX}{name.upper()}: {why}")
