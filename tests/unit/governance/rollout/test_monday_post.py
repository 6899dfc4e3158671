"""The Monday page is mailed: once a week, on Monday at seven in the organisation's zone, whoever of several processes is first."""

from __future__ import annotations

import asyncio
import datetime
import zoneinfo
from collections.abc import Sequence
from email import message_from_string, policy

import pytest

from holdfast.governance import limits
from holdfast.governance.messages.mail import MailServer, MailWay
from holdfast.governance.messages.model import Message
from holdfast.governance.messages.outbox import Way
from holdfast.governance.monday_parts import each_accepted
from holdfast.governance.rollout.monday_post import MondayPost, monday_ms
from holdfast.governance.rollout.monday_text import MailPart
from holdfast.governance.routing.report import ModelRow
from tests.unit.governance.budgets.receivers import MailBox
from tests.unit.governance.rollout.conftest import Company

pytestmark = pytest.mark.anyio
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000


class Post:
    """A way that writes down what it was given; ``down``: it fails so often first."""

    def __init__(self, name: str = "mail", down: int = 0) -> None:
        self.name = name
        self.down = down
        self.messages: list[Message] = []

    async def tell(self, message: Message) -> str | None:
        """See ``Way``."""
        if self.down:
            self.down -= 1
            return "nobody there"
        self.messages.append(message)
        return None


async def more(tenant: str, since_ms: int) -> Sequence[MailPart]:
    return [MailPart("What it costs", [("answer-mail", "+2.10 USD")], "")]


def post(company: Company, *ways: Way) -> MondayPost:
    return MondayPost(company.plan, company.store, company.clock.wall_ms, ways, more)


def to(company: Company, text: str) -> None:
    """It is so late in Berlin."""
    wanted = datetime.datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()
    company.clock.advance(wanted - company.clock.wall_ms() / 1_000)


async def test_it_goes_on_monday_at_seven_and_once(company: Company) -> None:
    await company.manifest()
    way = Post()
    mails = post(company, way)
    for moment in ("2025-06-15T23:00", "2025-06-16T06:59"):
        to(company, moment)
        await mails.look()
        assert not way.messages, moment
    to(company, "2025-06-16T07:00")
    await mails.look()
    await post(company, way).look()
    to(company, "2025-06-16T20:00")
    await mails.look()
    (message,) = way.messages
    assert message.type == "plan.monday" and "answer-mail" in message.html
    assert any("+2.10 USD" in line for line in message.lines) and "+2.10 USD" in message.html
    to(company, "2025-06-23T07:00")
    await mails.look()
    assert len(way.messages) == 2, "and again a week later"


async def test_two_processes_at_the_same_moment_send_one(company: Company) -> None:
    await company.manifest()
    to(company, "2025-06-16T07:00")
    way = Post()
    await asyncio.gather(*(post(company, way).look() for _ in range(2)), return_exceptions=True)
    await post(company, way).look()
    assert len(way.messages) == 1


async def test_it_is_sent_late_on_monday_and_not_on_tuesday(company: Company) -> None:
    await company.manifest()
    way = Post()
    to(company, "2025-06-17T00:30")
    await post(company, way).look()
    assert not way.messages
    to(company, "2025-06-23T23:30")
    await post(company, way).look()
    assert len(way.messages) == 1


async def test_a_receiver_that_is_down_is_tried_again(company: Company) -> None:
    await company.manifest()
    to(company, "2025-06-16T07:00")
    way = Post(down=1)
    mails = post(company, way)
    await mails.look()
    assert not way.messages
    company.clock.advance(limits.ALERT_BACKOFF_S + 1)
    await mails.look()
    assert len(way.messages) == 1


async def test_without_a_mail_way_nothing_is_sent_nor_put_on_record(company: Company) -> None:
    await company.manifest()
    to(company, "2025-06-16T07:00")
    hook = Post("webhook")
    await post(company, hook).look()
    assert not hook.messages


async def test_the_mail_has_text_and_html(company: Company) -> None:
    await company.manifest()
    to(company, "2025-06-16T07:00")
    async with MailBox().listening() as box:
        way = MailWay(MailServer("127.0.0.1", box.port), None, "plan@example.com", ("cto@example.com",))
        await post(company, way).look()
    mail = message_from_string(box.mails[0], policy=policy.default)
    assert mail["Subject"].startswith("The plan on Mon 16 Jun") and mail["To"] == "cto@example.com"
    text, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None and "MAY EACH WORKFLOW GO ON?" in text.get_content()
    assert page is not None and "<h2>May each workflow go on?</h2>" in page.get_content()


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-03-30T12:00", "2026-03-30T07:00"),  # the clocks went forward the night before
        ("2026-10-26T12:00", "2026-10-26T07:00"),  # and back
        ("2026-10-25T23:59", "2026-10-19T07:00"),
    ],
)
def test_seven_is_seven_whatever_the_clocks_do(now: str, due: str) -> None:
    at, wanted = (datetime.datetime.fromisoformat(text).replace(tzinfo=BERLIN) for text in (now, due))
    assert monday_ms(int(at.timestamp() * 1_000), BERLIN) == int(wanted.timestamp() * 1_000)


def test_the_cost_of_an_accepted_outcome_is_unknown_and_not_zero() -> None:
    def row(n: int, accepted: int, each_usd: str | None) -> ModelRow:
        return ModelRow(
            workflow="offers", task="", model="", n=n, accepted=accepted, rejected=0, escalated=0, at_least=0.0,
            each_usd=each_usd, accepted_usd=None, value_usd="0",
        )  # fmt: skip

    found = each_accepted([row(3, 2, "0.10"), row(1, 1, "0.20"), row(0, 0, None)])
    assert found is not None and f"{found:.4f}" == "0.1667"
    assert each_accepted([row(3, 2, None), row(1, 1, "0.20")]) is None
    assert each_accepted([row(3, 0, "0.10")]) is None
    assert each_accepted([]) is None
