"""Keys of upstreams: by reference, rotated without a restart, fetched no more often than needed, shown nowhere."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import HoldfastError, Unavailable
from holdfast.gateway.secrets import SecretReference
from holdfast.gateway.settings import GatewaySettings
from holdfast.protocol import limits
from tests.fake_upstream.process import FakeUpstream

from .conftest import served, upstreams_of

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_from_the_environment(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_UPSTREAM_KEY", " sk-one\n")
    assert await SecretReference("env:TEST_UPSTREAM_KEY", clock).value() == "sk-one"
    assert await SecretReference("", clock).value() == ""


async def test_from_a_file_that_is_rotated(clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-one\n")
    secret = SecretReference(f"file:{file}", clock)
    assert await secret.value() == "sk-one"
    file.write_text("sk-two\n")
    assert await secret.value() == "sk-one", "it is kept for a while"
    clock.now += limits.SECRET_KEPT_S
    assert await secret.value() == "sk-two"
    file.write_text("sk-three\n")
    clock.now += limits.SECRET_RETRY_S
    secret.refused()
    assert secret.may_have_changed and await secret.value() == "sk-three", "and fetched at once when it was refused"
    secret.refused()
    assert not secret.may_have_changed, "it was fetched just now"


async def test_a_file_that_is_gone_for_a_moment_does_no_harm(clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-one")
    secret = SecretReference(f"file:{file}", clock)
    await secret.value()
    file.unlink()
    clock.now += limits.SECRET_KEPT_S
    assert await secret.value() == "sk-one"
    file.write_text("sk-two")
    clock.now += limits.SECRET_RETRY_S
    assert await secret.value() == "sk-two"


async def test_from_a_command_that_prints_piece_by_piece(clock: Clock) -> None:
    code = "import sys,time; sys.stdout.write('sk-'); sys.stdout.flush(); time.sleep(0.05); print('two')"
    assert await SecretReference(f'command:{sys.executable} -c "{code}"', clock).value() == "sk-two"


async def test_what_a_command_leaves_running_holds_nobody_up(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECRET_COMMAND_S", 0.2)
    for silent in ("sleep 20", "yes"):  # in a session of its own it is not killed with the command
        with pytest.raises(Unavailable, match="cannot be had"):
            await SecretReference(f"command:sh -c 'setsid timeout 20 {silent} & echo sk'", clock).value()


async def test_a_command_runs_once_for_all_who_wait_and_not_for_every_refusal(clock: Clock, tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"open('{count}','a').write('x'); print('sk')"
    secret = SecretReference(f'command:{sys.executable} -c "{code}"', clock)
    for _ in range(5):
        assert await secret.value() == "sk"
        secret.refused()
    assert count.read_text() == "x"
    clock.now += limits.SECRET_RETRY_S
    await secret.value()
    assert count.read_text() == "xx"


@pytest.mark.parametrize(
    "reference",
    [
        "env:TEST_NO_SUCH_KEY", "file:/nowhere/at/all", "file:/dev/null", "file:/", "command:false", "command:/nowhere/x sk-arg",
        "command:echo", "command:printf 'a\\nb'", "command:printf é", "command:yes", "command:sh -c 'yes & yes'", "command:'",
    ],
)  # fmt: skip
async def test_one_that_cannot_be_had_says_where_from_and_nothing_else(
    clock: Clock, reference: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = SecretReference(reference, clock)
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as caught:
        await secret.value()
    assert caught.value.code == "upstream.key" and reference.split(" ")[0] in caught.value.detail
    assert "sk-arg" not in caplog.text + caught.value.text


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_is_never_shown(
    fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    monkeypatch.setenv("TEST_UPSTREAM_KEY", "sk-very-secret")
    fake.reset()
    fake.always(status=status)
    with caplog.at_level(logging.DEBUG):
        async with served(*upstreams_of(fake, key="env:TEST_UPSTREAM_KEY")) as site, site.http() as http:
            body: Any = {"model": "gpt-5", "messages": []}
            answer = await http.post("/v1/chat/completions", json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream.refused")
            assert answer.headers["x-should-retry"] == "false"
            claude = await http.post("/v1/messages", json=body | {"model": "claude-x"})
            assert claude.json()["error"]["details"] == {"error_code": "upstream.refused"}
    stats = fake.stats(ended=2)
    assert stats.requests[0].headers["authorization"] == "Bearer sk-very-secret"
    assert stats.requests[1].headers["x-api-key"] == "sk-very-secret"
    assert "sk-very-secret" not in caplog.text + answer.text + claude.text and "refuses the key" in caplog.text
    assert stats.ended == 2, "the same key is not tried again"


@pytest.mark.parametrize(
    ("upstream", "word"),
    [
        ({"url": "ftp://x"}, "url"), ({"url": "http://user:hunter2@x"}, "url"), ({"url": "http://x?key=1"}, "url"),
        ({"key": "sk-secret"}, "key"), ({"name": "No Name"}, "name"), ({"shape": "other"}, "shape"),
        ({"retries": 99}, "retries"), ({"unknown": 1}, "unknown"), ({"on_leave": "burn"}, "on_leave"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_name_their_field_and_never_the_value(upstream: dict[str, Any], word: str) -> None:
    with pytest.raises(HoldfastError) as caught:
        GatewaySettings.of({"upstreams": [{"name": "x", "url": "http://x", **upstream}]}, "gateway.yaml")
    assert caught.value.code == "config.invalid" and word in caught.value.detail
    assert "sk-secret" not in caught.value.detail and "hunter2" not in caught.value.detail
