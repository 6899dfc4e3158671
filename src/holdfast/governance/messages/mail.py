"""Messages as mails."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from email.message import EmailMessage
from typing import Final, NamedTuple

import aiosmtplib

from holdfast.errors import HoldfastError
from holdfast.governance import limits
from holdfast.governance.messages.model import Message

_HERE: Final = ("127.0.0.1", "::1", "localhost")


class MailServer(NamedTuple):
    """A mail server; ``implicit``: TLS from the first byte. ``user`` empty where nobody logs in."""

    host: str
    port: int
    user: str = ""
    implicit: bool = False


class MailWay:
    """One server, and who gets mails that name nobody.

    Args:
        password: fetches it; None where nobody logs in.
        context: whose certificates are believed; None for those of this machine.
    """

    name = "mail"

    def __init__(
        self, server: MailServer, password: Callable[[], Awaitable[str]] | None, sender: str, people: Sequence[str],
        context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._server = server
        self._password = password
        self._sender = sender
        self._people = people
        self._context = context

    async def tell(self, message: Message) -> str | None:
        """Try once; why the server did not take it, or None when it did."""
        client = aiosmtplib.SMTP(
            hostname=self._server.host, port=self._server.port, use_tls=self._server.implicit, start_tls=None,
            tls_context=self._context, timeout=limits.ALERT_TIMEOUT_S,
        )  # fmt: skip
        try:
            async with asyncio.timeout(limits.ALERT_TIMEOUT_S):
                await client.connect()
                if self._password is not None:
                    if client.get_transport_info("ssl_object") is None and self._server.host not in _HERE:
                        return "the server offers no TLS, and a password goes nowhere in the clear"
                    await client.login(self._server.user, await self._password())
                await client.send_message(
                    self._mail(message), sender=self._sender, recipients=self._recipients(message)
                )
                await client.quit()
        except HoldfastError as error:
            return error.detail
        except aiosmtplib.SMTPResponseException as error:
            return f"{type(error).__name__} {error.code}"  # what a server says may hold what it was sent
        except Exception as error:  # whatever a server does, it is tried again
            return type(error).__name__
        finally:
            client.close()
        return None

    def _recipients(self, message: Message) -> list[str]:
        return list(message.people or self._people)

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._recipients(message))
        mail["Subject"] = " ".join(message.text.split())[:200]
        digest = hashlib.sha256(f"{message.tenant}|{message.id}".encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<{digest}@{self._sender.rpartition('@')[2]}>"
        mail.set_content("\n".join([message.text, "", *message.lines]))
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        return mail
