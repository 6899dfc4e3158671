"""People are told of what stops something at once, of the rest once a day, and the sponsor of what is late; each once."""

from __future__ import annotations

import pytest

from holdfast.governance import limits
from holdfast.governance.directory.model import Person
from holdfast.governance.inbox.model import DAY_MS, HOUR_MS
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.messages.mail import MailServer, MailWay
from holdfast.governance.messages.model import Message
from holdfast.governance.messages.webhook import webhook_body
from tests.unit.governance.inbox.conftest import Letters, Things, thing
from tests.unit.governance.rollout.conftest import TENANT, Company

pytestmark = pytest.mark.anyio
MORNING_H = 10  # later than digests begin, in the company's time zone


async def look(inbox: OwnerInbox, letters: Letters) -> list[str]:
    """What is told at this moment."""
    before = len(letters.sent)
    await inbox.compute(TENANT)
    await inbox.tell()
    return [one.text for one in letters.sent[before:]]


@pytest.fixture
def morning(company: Company) -> Company:
    """It is ten in the morning."""
    zone, clock = company.organisation.zone(TENANT), company.clock
    import datetime

    hour = datetime.datetime.fromtimestamp(clock.wall_ms() / 1_000, zone).hour
    clock.advance(((MORNING_H - hour) % 24) * 3_600)
    return company


async def test_what_stops_something_is_told_at_once_and_once(
    morning: Company, inbox: OwnerInbox, things: Things, letters: Letters
) -> None:
    await morning.people(Person("ann", unit="sales", email="ann@acme.example"))
    morning.clock.advance((24 - MORNING_H + 1) * 3_600)  # one in the morning
    things.found = [thing(stops=True)]
    assert await look(inbox, letters) == ["thing a"]
    assert letters.sent[0].people == ("ann@acme.example",) and letters.sent[0].type == "inbox.now"
    assert await look(inbox, letters) == []
    morning.pass_days(3)
    assert await look(inbox, letters) == []


async def test_a_digest_a_day_where_something_is_new_or_due(
    morning: Company, inbox: OwnerInbox, things: Things, letters: Letters
) -> None:
    now = morning.clock.wall_ms()
    things.found = [thing("a", due_ms=now + 3 * DAY_MS), thing("b"), thing("c", person="bob")]
    assert await look(inbox, letters) == ["Inbox of ann: 2 new", "Inbox of bob: 1 new"]
    things.found.append(thing("d"))
    assert await look(inbox, letters) == [], "once a day"
    morning.pass_days(1)
    assert await look(inbox, letters) == ["Inbox of ann: 1 new"]
    morning.pass_days(1)
    assert await look(inbox, letters) == ["Inbox of ann: 1 due"]
    morning.pass_days(1)
    assert await look(inbox, letters) == [], "nothing is new, and of what is due somebody was told"


async def test_no_digest_at_night(morning: Company, inbox: OwnerInbox, things: Things, letters: Letters) -> None:
    things.found = [thing()]
    morning.clock.advance((24 - MORNING_H + limits.INBOX_DIGEST_HOUR - 1) * 3_600)
    assert await look(inbox, letters) == []
    morning.clock.advance(3_600)
    assert await look(inbox, letters) == ["Inbox of ann: 1 new"]


async def test_the_sponsor_is_told_once_it_is_late(
    morning: Company, inbox: OwnerInbox, things: Things, letters: Letters
) -> None:
    things.found = [thing(sponsor="cem", due_ms=morning.clock.wall_ms() + HOUR_MS)]
    assert await look(inbox, letters) == ["Inbox of ann: 1 new and 1 due"]
    morning.clock.advance(3_601)
    (text,) = await look(inbox, letters)
    assert text.startswith("Late since ") and text.endswith(": thing a")
    assert letters.sent[-1].data["person"] == "cem" and "ann: Do it" in letters.sent[-1].lines
    morning.pass_days(2)
    assert await look(inbox, letters) == []


async def test_a_long_digest_counts_the_rest(
    morning: Company, inbox: OwnerInbox, things: Things, letters: Letters
) -> None:
    things.found = [thing(f"k{number:02}") for number in range(13)]
    await look(inbox, letters)
    assert "and 3 more: holdfast inbox list" in letters.sent[0].lines
    assert len([line for line in letters.sent[0].lines if line.startswith("- ")]) == limits.INBOX_DIGEST_ROWS


async def test_what_nobody_took_is_told_later(
    morning: Company, inbox: OwnerInbox, things: Things, letters: Letters
) -> None:
    letters.works = False
    things.found = [thing(stops=True)]
    assert await look(inbox, letters) == []
    (notice,) = [one for one in await inbox.notices(TENANT, "ann") if one.kind == "now"]
    assert (notice.sent["mail"].state, notice.sent["mail"].why) == ("waiting", "the server is down")
    letters.works = True
    morning.clock.advance(limits.ALERT_BACKOFF_S)
    assert "thing a" in await look(inbox, letters)


async def test_who_left_is_written_to_no_more(
    morning: Company, inbox: OwnerInbox, things: Things, letters: Letters
) -> None:
    await morning.people(Person("ann", unit="sales", email="ann@acme.example", active=False))
    things.found = [thing(stops=True)]
    await look(inbox, letters)
    assert letters.sent[0].people == ()  # those of the settings get it


def test_a_mail_goes_to_whom_the_message_names() -> None:
    way = MailWay(MailServer("127.0.0.1", 25), None, "plan@acme.example", ["desk@acme.example"])
    made = Message(
        id="x", tenant=TENANT, type="inbox.now", at_ms=0, text="thing a", lines=("Do it",), people=("ann@acme.example",)
    )
    mail = way._mail(made)
    assert (mail["To"], mail["Subject"]) == ("ann@acme.example", "thing a") and "Do it" in mail.get_content()
    assert '"type":"inbox.now"' in webhook_body(made)
