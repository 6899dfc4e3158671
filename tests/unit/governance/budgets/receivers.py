"""Who alerts are sent to: a real receiver of webhooks, and a real mail server with STARTTLS and a login."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Receiver:
    """Remembers what it was sent, and answers as it is told to.

    Attributes:
        answers: status codes that it gives, one after the other; then 200.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, str], str]] = []
        self.answers: list[int] = []
        self.url = ""

    async def _take(self, request: web.Request) -> web.Response:
        self.sent.append((dict(request.headers), await request.text()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[Receiver]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        serving = web.AppRunner(app)
        await serving.setup()
        site = web.TCPSite(serving, "127.0.0.1", port)
        await site.start()
        assert site._server is not None and isinstance(site._server, asyncio.Server)
        self.url = f"http://localhost:{site._server.sockets[0].getsockname()[1]}/alerts"
        yield self
        await serving.cleanup()


class MailBox:
    """What a mail server got, and how.

    Attributes:
        mails: the mails; ``encrypted``: whether each came over TLS; ``logins``: who logged in with what.
    """

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.encrypted: list[bool] = []
        self.recipients: list[list[str]] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.port = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content.decode())
        self.recipients.append(list(envelope.rcpt_tos))
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def _login(self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login, given.password))
        return AuthResult(success=given.password == b"open sesame", handled=False)

    @contextlib.asynccontextmanager
    async def listening(
        self, context: ssl.SSLContext | None = None, *, login: bool = False, host: str = "127.0.0.1"
    ) -> AsyncIterator[MailBox]:
        """Take mails.

        Args:
            context: offers STARTTLS with it.
            login: ask everybody to log in.
        """
        more: dict[str, Any] = {"tls_context": context} if context is not None else {}
        if login:
            more |= {"authenticator": self._login, "auth_required": True, "auth_require_tls": True}
        loop = asyncio.get_running_loop()
        talking: list[SMTP] = []

        def talk() -> SMTP:
            talking.append(SMTP(self, hostname="127.0.0.1", loop=loop, **more))
            return talking[-1]

        server = await loop.create_server(talk, host, 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
        for each in talking:
            if each.transport is not None:
                each.transport.close()


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context, of a certificate for 127.0.0.1 that only the client believes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))
