"""When somebody is told, that it is once, and that a receiver that is down is told when it is up again."""

from __future__ import annotations

import base64
import datetime
import json
import logging
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from holdfast.errors import HoldfastError
from holdfast.governance import limits
from holdfast.governance.budgets.alerts import rules
from holdfast.governance.budgets.alerts.model import Alert
from holdfast.governance.budgets.alerts.settings import AlertSettings, from_environment, ways_of
from holdfast.governance.budgets.alerts.store import list_alerts
from holdfast.governance.budgets.alerts.telling import Teller
from holdfast.governance.budgets.alerts.watch import AlertWatch
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.model import Budget, BudgetAccount, RaiseRequest
from holdfast.governance.budgets.request_store import add_request
from holdfast.governance.messages.mail import MailServer, MailWay
from holdfast.governance.messages.model import Message
from holdfast.governance.messages.outbox import Way
from holdfast.governance.messages.webhook import WebhookWay
from tests.unit.governance.budgets.conftest import Desk
from tests.unit.governance.budgets.receivers import MailBox, Receiver, certificate

USD = 10**9
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()


def account(spent: int, *, span: Any = "month", closes_ms: int | None = 30 * DAY_MS, **more: Any) -> BudgetAccount:
    budget = Budget(id="b-1", name="support", cap_nano=100 * USD, span=span, decider="user:ann", **more)
    return BudgetAccount(budget, opens_ms=0, closes_ms=closes_ms, spent_nano=spent * USD)


# --- rules ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("spent", "kind"), [(49, None), (50, "50"), (79, "50"), (80, "80"), (100, "100"), (500, "100")]
)
def test_thresholds_tell_of_the_highest_that_was_reached(spent: int, kind: str | None) -> None:
    found = rules.threshold(account(spent), 1)
    assert found is None if kind is None else found is not None and found.kind == f"threshold:{kind}"


def test_an_alert_is_one_of_a_budget_an_account_a_window_and_a_kind() -> None:
    first = rules.threshold(account(50), 1)
    assert first is not None and first.id == "b-1||0|threshold:50" and "$50.00 of $100.00" in first.text
    rolling = account(50, span="rolling", rolling_s=3_600, closes_ms=None)
    ids = {found.id for at in (0, 1, HOUR_MS - 1, HOUR_MS) if (found := rules.threshold(rolling, at)) is not None}
    assert len(ids) == 2, "a window that rolls counts by its length"
    assert rules.threshold(account(0, alerts=()), 1) is None


def test_a_pace_ends_the_money_before_the_window() -> None:
    half = account(10)
    assert rules.pace_ms(half) == DAY_MS and rules.pace_ms(account(1, span="day")) == HOUR_MS
    assert rules.pace_ms(account(1, closes_ms=None)) is None
    assert rules.projected(half, 3 * USD, DAY_MS, 0) == 100 * USD
    told = rules.burn(half, 30 * USD, DAY_MS, 0)
    assert told.facts["ends_ms"] == 3 * DAY_MS and "1970-01-04 00:00 UTC, before" in told.text


def test_a_pace_that_wavers_is_told_of_once() -> None:
    burns = False
    seen = []
    for comes_to in (105, 111, 95, 109, 91, 89, 105):
        burns = rules.burning(burns, comes_to * USD, 100 * USD)
        seen.append(burns)
    assert seen == [False, True, True, True, True, False, False]


def days(today: datetime.date, *spent: int) -> dict[str, int]:
    """The same weekday, weeks before: the latest first."""
    return {(today - datetime.timedelta(weeks=week)).isoformat(): nano * USD for week, nano in enumerate(spent, 1)}


def test_a_day_is_held_beside_the_same_weekdays() -> None:
    today = datetime.date(2026, 3, 16)
    quiet = days(today, 10, 11, 9, 10, 10)
    odd = rules.unusual(quiet | {today.isoformat(): 30 * USD}, today, 100 * USD)
    assert odd.unusual and odd.n == 5 and odd.median_nano == 10 * USD
    assert rules.unusual(quiet | {today.isoformat(): 11 * USD}, today, 100 * USD).unusual is False
    one_fire = days(today, 10, 11, 500, 10, 10)
    assert rules.unusual(one_fire | {today.isoformat(): 30 * USD}, today, 100 * USD).unusual, (
        "one wild day hides nothing"
    )
    few = rules.unusual(days(today, 10, 11, 9) | {today.isoformat(): 90 * USD}, today, 100 * USD)
    assert few.unusual is None and few.n == 3 and few.median_nano is None, "unknown is not usual"
    cents = rules.unusual(days(today, 0, 0, 0, 0) | {today.isoformat(): USD // 2}, today, 100 * USD)
    assert cents.unusual is False and cents.n == 4


# --- the whole way ----------------------------------------------------------------------------------------------------------
async def budget(desk: Desk, usd: str = "0.02", **more: Any) -> None:
    terms = BudgetTerms(usd=usd, scope={"team": "care"}, decider="user:ann", **{"per": "total"} | more)
    await desk.governance.budget_desk.set("default", "support", terms, "user:ann")


async def spend(desk: Desk, tokens: int = 5_000) -> None:
    """A cent for 5,000 tokens."""
    opening = desk.opening()
    await desk.open(opening)
    await desk.settle(opening, input_tokens=0, output_tokens=tokens)


def watch(desk: Desk, *ways: Way) -> AlertWatch:
    return AlertWatch(desk.budgets, desk.governance.organisation, Teller(desk.budgets.store, desk.clock.wall_ms, ways))


def hook(desk: Desk, url: str, *, private: bool = True) -> WebhookWay:
    return WebhookWay(url, _key, desk.clock.wall_ms, private=private)


async def _key() -> str:
    return KEY


async def told(desk: Desk) -> list[Alert]:
    return await desk.budgets.store.read(lambda connection: list_alerts(connection, "default", 100))


@pytest.mark.anyio
async def test_everybody_is_told_once_of_a_threshold(desk: Desk) -> None:
    await budget(desk)
    async with Receiver().listening() as receiver:
        looks = [watch(desk, hook(desk, receiver.url)) for _ in range(2)]  # of two processes
        assert await looks[0].look() == []
        await spend(desk)
        fresh = [alert for look in looks for alert in await look.look()]
        assert [alert.kind for alert in fresh] == ["threshold:50"]
        for look in looks:
            await look.look()
        assert len(receiver.sent) == 1
        await spend(desk)
        await looks[1].look()
        assert len(receiver.sent) == 2
        headers, body = receiver.sent[1]
    sent = json.loads(body)
    assert sent["type"] == "budget.alert" and sent["data"]["kind"] == "threshold:100"
    assert sent["data"]["name"] == "support" and sent["data"]["decider"] == "user:ann"
    assert headers["webhook-id"] != receiver.sent[0][0]["webhook-id"] and headers["Host"].startswith("localhost:")
    assert {alert.sent["webhook"].state for alert in await told(desk)} == {"sent"}


@pytest.mark.anyio
async def test_a_webhook_is_signed(desk: Desk) -> None:
    desk.clock.advance(datetime.datetime.now(datetime.UTC).timestamp() - desk.clock.wall_ms() / 1_000)
    await budget(desk)
    await spend(desk)
    async with Receiver().listening() as receiver:
        await watch(desk, hook(desk, receiver.url)).look()
    ((headers, body),) = receiver.sent
    assert Webhook(KEY).verify(body, headers)["type"] == "budget.alert"
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(body.replace("threshold:50", "threshold:10"), headers)


@pytest.mark.anyio
async def test_a_receiver_that_is_down_is_told_when_it_is_up_again(desk: Desk) -> None:
    await budget(desk)
    await spend(desk)
    receiver = Receiver()
    async with receiver.listening() as up:
        url, port = up.url, int(up.url.split(":")[2].split("/")[0])
    look = watch(desk, hook(desk, url))
    await look.look()
    (alert,) = await told(desk)
    assert alert.sent["webhook"].state == "waiting" and alert.sent["webhook"].why == "ConnectError"
    assert alert.sent["webhook"].due_ms == desk.clock.wall_ms() + int(limits.ALERT_BACKOFF_S * 1_000)
    async with receiver.listening(port):
        await look.look()
        assert receiver.sent == [], "not before its time"
        receiver.answers = [503]
        desk.clock.advance(limits.ALERT_BACKOFF_S)
        await look.look()
        (alert,) = await told(desk)
        assert alert.sent["webhook"].why == "HTTP 503" and alert.sent["webhook"].tries == 2
        desk.clock.advance(limits.ALERT_BACKOFF_S * 4)
        await watch(desk, hook(desk, url)).look()  # after a restart, too
    (alert,) = await told(desk)
    assert (alert.sent["webhook"].state, alert.sent["webhook"].tries) == ("sent", 3)
    assert len({headers["webhook-id"] for headers, _ in receiver.sent}) == 1, (
        "the receiver can tell that it is the same"
    )


@pytest.mark.anyio
async def test_tries_come_to_an_end(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await budget(desk)
    await spend(desk)
    async with Receiver().listening() as receiver:
        receiver.answers = [500] * 100
        look = watch(desk, hook(desk, receiver.url))
        for _ in range(limits.ALERT_TRIES + 3):
            await look.look()
            desk.clock.advance(limits.ALERT_BACKOFF_MAX_S)
        assert len(receiver.sent) == limits.ALERT_TRIES
    (alert,) = [one for one in await told(desk) if one.kind == "threshold:50"]
    assert alert.sent["webhook"].state == "given up" and "could not be told" in caplog.text
    assert KEY not in caplog.text and KEY[6:] not in caplog.text


@pytest.mark.anyio
async def test_a_try_that_is_under_way_is_nobody_elses(desk: Desk) -> None:
    await budget(desk)
    await spend(desk)
    tries: list[str] = []

    class Asking:
        name = "webhook"

        async def tell(self, message: Message) -> str | None:
            tries.append(message.id)
            if len(tries) == 1:  # while it is under way another process looks
                await other.look()
            return None

    look, other = watch(desk, Asking()), watch(desk, Asking())
    await look.look()
    assert len(tries) == 1


@pytest.mark.anyio
async def test_no_private_address_unless_somebody_says_so(desk: Desk) -> None:
    await budget(desk)
    await spend(desk)
    async with Receiver().listening() as receiver:
        await watch(desk, hook(desk, receiver.url, private=False)).look()
        assert receiver.sent == []
    (alert,) = await told(desk)
    assert "its address is private" in alert.sent["webhook"].why


@pytest.mark.anyio
async def test_a_pace_and_a_day_are_told_of(desk: Desk) -> None:
    await budget(desk, "10", per="month", alerts=())
    look, kinds = watch(desk), list[str]()
    for _ in range(6 * 7):
        await spend(desk, 50_000)  # ten cents a day
        kinds += [alert.kind for alert in await look.look()]
        desk.clock.advance(86_400)
    assert kinds == []
    await spend(desk, 500_000)
    fresh = {alert.kind: alert for alert in await look.look()}
    assert "anomaly" in fresh and fresh["anomaly"].facts["n"] == 6
    assert fresh["anomaly"].text.count("$") == 3 and "give or take" in fresh["anomaly"].text
    await spend(desk, 500_000)
    desk.clock.advance(limits.ALERT_PACE_S)
    assert "anomaly" not in {alert.kind for alert in await look.look()}, "once a day"


@pytest.mark.anyio
async def test_a_day_that_burns_is_told_of(desk: Desk) -> None:
    await budget(desk, "10", per="month", alerts=())
    await spend(desk, 500_000)
    (alert,) = await watch(desk).look()
    assert alert.kind == "burn" and alert.sent == {} and alert.facts["projected_nano"] > 11 * USD


# --- mail -------------------------------------------------------------------------------------------------------------------
async def _password() -> str:
    return "open sesame"


def mail(port: int, **more: Any) -> MailWay:
    people = ("cfo@example.com", "ann@example.com")
    return MailWay(MailServer("127.0.0.1", port, **more.pop("server", {})), more.pop("password", None),
                   "budgets@example.com", people, **more)  # fmt: skip


@pytest.mark.anyio
async def test_a_mail_goes_encrypted_where_that_is_offered(desk: Desk, tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path)
    await budget(desk)
    await spend(desk)
    async with MailBox().listening(theirs, login=True) as box:
        way = mail(box.port, server={"user": "holdfast"}, password=_password, context=ours)
        await watch(desk, way).look()
        await watch(desk, way).look()
    (alert,) = await told(desk)
    assert alert.sent["mail"].state == "sent", alert.sent["mail"].why
    assert box.encrypted == [True] and box.logins == [(b"holdfast", b"open sesame")]
    assert box.recipients == [["cfo@example.com", "ann@example.com"]]
    found = message_from_string(box.mails[0], policy=policy.default)
    assert found["Subject"].startswith("Budget support: 50 % of it is spent")
    assert "Who decides: user:ann" in box.mails[0] and "holdfast budget show b-" in box.mails[0]


@pytest.mark.anyio
async def test_a_certificate_that_nobody_believes_is_not_believed(desk: Desk, tmp_path: Path) -> None:
    theirs, _ = certificate(tmp_path)
    await budget(desk)
    await spend(desk)
    async with MailBox().listening(theirs) as box:
        await watch(desk, mail(box.port)).look()
    (alert,) = await told(desk)
    assert alert.sent["mail"].state == "waiting" and box.mails == []


@pytest.mark.anyio
async def test_a_mail_server_that_refuses_is_asked_again(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def wrong() -> str:
        return "let me in"

    await budget(desk)
    await spend(desk)
    theirs, ours = certificate(tmp_path)
    async with MailBox().listening(theirs, login=True) as box:
        user = {"user": "holdfast"}
        await watch(desk, mail(box.port, server=user, password=wrong, context=ours)).look()
        (alert,) = await told(desk)
        assert alert.sent["mail"].why.startswith("SMTPAuthenticationError") and box.mails == []
        desk.clock.advance(limits.ALERT_BACKOFF_S)
        await watch(desk, mail(box.port, server=user, password=_password, context=ours)).look()
        assert len(box.mails) == 1
    assert "let me in" not in alert.sent["mail"].why + caplog.text and "open sesame" not in caplog.text


@pytest.mark.anyio
async def test_a_password_goes_nowhere_in_the_clear(desk: Desk) -> None:
    await budget(desk)
    await spend(desk)
    asked: list[str] = []

    async def password() -> str:
        asked.append("asked")
        return "open sesame"

    async with MailBox().listening(host="127.0.0.2") as box:
        server = MailServer("127.0.0.2", box.port, "holdfast")
        await watch(desk, MailWay(server, password, "a@example.com", ("b@example.com",))).look()
    (alert,) = await told(desk)
    assert "no TLS" in alert.sent["mail"].why and asked == [] == box.mails


# --- settings ---------------------------------------------------------------------------------------------------------------
def test_settings_become_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = AlertSettings(
        alert_webhook="https://example.com/alerts", alert_secret="env:ALERTS", smtp_url="smtp://ann%40example.com@mail",
        smtp_password="env:SMTP", alert_mail_from="a@example.com", alert_mail_to="b@example.com, c@example.com",
    )  # fmt: skip
    assert [way.name for way in ways_of(settings, lambda: 0, lambda: 0.0)] == ["webhook", "mail"]
    assert ways_of(AlertSettings(), lambda: 0, lambda: 0.0) == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"alert_webhook": "ftp://x", "alert_secret": "env:A"}, "ALERT_WEBHOOK"),
        ({"alert_webhook": "https://x"}, "ALERT_SECRET"),
        ({"alert_webhook": "https://x", "alert_secret": KEY}, "ALERT_SECRET"),
        ({"smtp_url": "smtp://mail"}, "ALERT_MAIL_TO"),
        ({"alert_mail_to": "a@b"}, "SMTP_URL"),
        ({"smtp_url": "http://mail", "alert_mail_to": "a@b", "alert_mail_from": "a@b"}, "SMTP_URL"),
        ({"smtp_url": "smtp://mail:port", "alert_mail_to": "a@b", "alert_mail_from": "a@b"}, "SMTP_URL"),
        ({"smtp_url": "smtp://u:secret@mail", "alert_mail_to": "a@b", "alert_mail_from": "a@b"}, "SMTP_URL"),
        ({"smtp_url": "smtp://u@mail", "alert_mail_to": "a@b", "alert_mail_from": "a@b"}, "SMTP_PASSWORD"),
        (
            {"smtp_url": "smtp://u@mail", "smtp_password": "x", "alert_mail_to": "a@b", "alert_mail_from": "a@b"},
            "SMTP_PASSWORD",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name(given: dict[str, str], name: str) -> None:
    with pytest.raises(HoldfastError) as refused:
        ways_of(AlertSettings(**given), lambda: 0, lambda: 0.0)
    assert refused.value.code == "config.invalid" and refused.value.detail.startswith(f"HOLDFAST_GOVERNANCE_{name}:")
    assert "secret@" not in str(refused.value) and KEY not in str(refused.value)


@pytest.mark.anyio
async def test_whoever_decides_is_told_of_a_request_and_once(desk: Desk) -> None:
    await budget(desk)
    request = RaiseRequest(
        id="br1", budget=desk.budgets.definitions("default")[0].id, from_nano=20_000_000, to_nano=2 * USD, by="user:cat", why="month end"
    )  # fmt: skip
    await desk.budgets.store.write(lambda connection: add_request(connection, request))
    async with Receiver().listening() as receiver:
        look = watch(desk, hook(desk, receiver.url))
        (alert,) = await look.look()
        assert (alert.kind, alert.facts["decider"], alert.facts["to_nano"]) == ("request:br1", "user:ann", 2 * USD)
        assert "user:cat asks for $2.00 instead of $0.02 (month end)" in alert.text and "approve br1" in alert.text
        assert await look.look() == [] and len(receiver.sent) == 1


def test_a_gateway_alone_has_the_same_settings() -> None:
    environ = {
        "HOLDFAST_GOVERNANCE_ALERT_WEBHOOK": "https://example.com/a",
        "HOLDFAST_GOVERNANCE_ALERT_SECRET": "env:KEY",
    }
    found = from_environment(environ | {"HOLDFAST_GOVERNANCE_URL": "store.db", "HOME": "/"})
    assert (found.alert_webhook, found.alert_secret, found.smtp_url) == ("https://example.com/a", "env:KEY", "")
    with pytest.raises(HoldfastError, match="ALERT_PRIVATE"):
        from_environment({"HOLDFAST_GOVERNANCE_ALERT_PRIVATE": "perhaps"})
