"""Settings: from the environment, overridden by the command line, refused by name when they make no sense."""

from __future__ import annotations

import socket

import pytest

from holdfast.edge.app import Edge
from holdfast.edge.browser import BrowserCheck, single_header
from holdfast.edge.config import Settings, load, misspelt
from holdfast.edge.server import bind, running
from holdfast.engines.address import engine_for
from holdfast.errors import HoldfastError, Refused
from holdfast.hub.hub import Hub


def test_the_command_line_goes_before_the_environment() -> None:
    environ = {"HOLDFAST_PORT": "8000", "HOLDFAST_ORIGINS": "https://a.example, https://b.example", "PORT": "1"}
    settings = load({"host": "0.0.0.0", "db": None}, environ)
    assert (settings.port, settings.host, settings.db) == (8_000, "0.0.0.0", "holdfast.db")
    assert settings.origins == ("https://a.example", "https://b.example")
    assert load({"port": 9_000}, environ).port == 9_000


def test_names_that_look_like_a_setting_are_noticed() -> None:
    close = {"HOLDFAST_LEASE": "15", "HOLDFAST_ORIGIN": "https://a.example", "HOLDFAST_LOGLEVEL": "debug"}
    others = {"HOLDFAST_PORT": "1", "HOLDFAST_TOKEN": "x", "HOLDFAST_SERVICE_HOST": "10.0.0.1", "PORT": "1"}
    assert misspelt({**close, **others}) == {
        "HOLDFAST_LEASE": "HOLDFAST_LEASE_S", "HOLDFAST_ORIGIN": "HOLDFAST_ORIGINS", "HOLDFAST_LOGLEVEL": "HOLDFAST_LOG_LEVEL",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "x"),
        ("ALGORITHMS", "none"),
        ("ALGORITHMS", "HS256,HS384"),
        ("ALGORITHMS", ""),
        ("LEASE_S", "0"),
        ("CONNECTIONS", "0"),
        ("REQUESTS_PER_S", "-1"),
        ("LOG_LEVEL", "loud"),
        ("ORIGINS", "chat.example.com"),
        ("ORIGINS", "*"),
        ("ORIGINS", "null"),
        ("ORIGINS", "https://a.example,https://b.example/app"),
        ("HOSTS", "https://chat.example.com"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(HoldfastError) as refused:
        load({}, {f"HOLDFAST_{name}": value})
    assert refused.value.code == "config.invalid" and name.lower() in refused.value.detail


def test_nothing_is_open_by_default() -> None:
    """ACC-6."""
    settings = load({}, {})
    assert settings.host == "127.0.0.1" and not settings.origins and not settings.hosts and not settings.metrics_open


@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        ("localhost:7417", None, None),
        ("LOCALHOST", None, None),
        ("[::1]:7417", None, None),
        ("app.example", None, None),
        ("evil.example", None, "auth.host"),
        ("localhost.evil.example", None, "auth.host"),
        ("127.0.0.1.evil.example:7417", None, "auth.host"),
        (None, None, "auth.host"),
        ("", None, "auth.host"),
        ("localhost:7417", "http://localhost:7417", None),
        ("app.example", "https://app.example", None),
        ("localhost:7417", "https://web.example", None),
        ("localhost:7417", "http://localhost:3000", "auth.origin"),
        ("localhost:7417", "http://localhost", "auth.origin"),
        ("localhost:7417", "https://web.example.evil.example", "auth.origin"),
        ("localhost:7417", "http://web.example", "auth.origin"),
        ("localhost:7417", "null", "auth.origin"),
        ("localhost:7417", "", "auth.origin"),
    ],
)
def test_hosts_and_origins_are_exact(host: str | None, origin: str | None, code: str | None) -> None:
    """ACC-5."""
    browser = BrowserCheck(Settings(hosts=("app.example",), origins=("https://web.example/",)))
    headers = [(b"host", host.encode())] if host is not None else []
    headers += [(b"origin", origin.encode())] if origin is not None else []
    try:
        browser.check(headers)
    except Refused as error:
        assert error.code == code
    else:
        assert code is None


def test_a_header_given_twice_is_refused() -> None:
    with pytest.raises(Refused):
        single_header([(b"host", b"a"), (b"host", b"a")], b"host")
    assert single_header([(b"host", b"a")], b"origin") is None


def test_an_address_in_use_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(HoldfastError) as refused:
        bind("127.0.0.1", taken.getsockname()[1])
    assert refused.value.code == "config.invalid" and "in use" in refused.value.detail
    with pytest.raises(HoldfastError):
        bind("no such host", 0)


@pytest.mark.anyio
async def test_nobody_can_connect_before_the_server_answers() -> None:
    (sock,) = bind("127.0.0.1", 0)
    address = sock.getsockname()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    settings = Settings(db="memory:", port=address[1])
    async with running(Edge(await opened_hub(), settings), [sock]):
        socket.create_connection(address).close()


@pytest.mark.anyio
async def test_of_two_servers_that_bind_at_once_one_is_refused() -> None:
    (mine,) = bind("127.0.0.1", 0)
    (theirs,) = bind("127.0.0.1", mine.getsockname()[1])
    settings = Settings(db="memory:", port=mine.getsockname()[1])
    with theirs:
        theirs.listen()
        with pytest.raises(HoldfastError) as refused:
            async with running(Edge(await opened_hub(), settings), [mine]):
                pytest.fail("it runs")
    assert refused.value.code == "config.invalid" and "in use" in refused.value.detail


async def opened_hub() -> Hub:
    hub = Hub(engine_for("memory:"))
    await hub.open()
    return hub
