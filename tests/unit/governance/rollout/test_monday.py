"""The Monday page as data, and as a mail."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec
import pytest

from holdfast.governance.directory.model import Person
from holdfast.governance.rollout import monday, overview
from holdfast.governance.rollout.monday import Monday, waiver_lines
from holdfast.governance.rollout.monday_text import COLUMNS, MailPart, monday_mail
from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW, Company, with_

pytestmark = pytest.mark.anyio


async def page(company: Company) -> Monday:
    await company.plan.compute(TENANT)
    return await monday.monday(company.plan, TENANT)


async def test_whoever_has_to_do_something_stands_there_with_a_date(company: Company) -> None:
    await company.manifest(deputy="")
    found = await page(company)
    (cem,) = (one for one in found.people if one.who == "cem")
    (action,) = (one for one in cem.actions if one.gate == "6.a")
    assert action.due_ms > found.as_of_ms and cem.due_ms == action.due_ms
    assert "deputy" in action.what
    (line,) = found.workflows
    assert (line.workflow, line.stands, line.words) == (WORKFLOW, "fail", "held up")
    assert "6.a" not in found.unbuilt and "7.a" in found.unbuilt


async def test_the_sentence_says_what_mends_the_gate_that_it_names(company: Company) -> None:
    await company.manifest(deputy="")
    await company.workflows.set_state(TENANT, WORKFLOW, "pilot", by="user:root", reason="it runs")
    await company.plan.compute(TENANT)
    some = company.plan.workflows(TENANT)
    actions = overview.actions(company.plan, TENANT, some, overview.status_by_gate(company.plan, TENANT, some))
    said = (await overview.plan_status(company.plan, TENANT, WORKFLOW))["workflows"][0]["sentence"]
    named = said.partition("gate ")[2].partition(" fails")[0]
    action = next(one for one in actions if one.gate == named)
    assert actions[0].gate != named, "something else comes first in the order of the plan"
    assert f"{action.who} has to" in said and action.what[1:] in said


async def test_a_gate_flips_and_is_forgotten_after_a_week(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    assert (await company.verdict("6.a"))[0] == "pass"
    company.pass_days(10)
    ann, bob = (company.directory.person(TENANT, name) for name in ("ann", "bob"))
    assert ann is not None and bob is not None
    await company.people(*(one for one in (_person(ann.user_name), with_(_person("bob"), active=False))))
    found = await page(company)
    (flip,) = (one for one in found.flips if one.gate == "6.a")
    assert (flip.workflow, flip.before, flip.after) == (WORKFLOW, "pass", "fail")
    assert "bob" in flip.reason and flip.at_ms == found.as_of_ms
    company.pass_days(8)
    await company.people(_person("ann"), with_(_person("bob"), active=False))
    assert not [one for one in (await page(company)).flips if one.gate == "6.a"]


async def test_the_first_verdict_counts_where_nothing_is_a_week_old(company: Company) -> None:
    await company.manifest()
    assert (await company.verdict("6.a"))[0] == "fail"
    company.pass_days(1)
    await company.staffed()
    found = await page(company)
    (flip,) = (one for one in found.flips if one.gate == "6.a")
    assert (flip.before, flip.after) == ("fail", "pass")


async def test_a_waiver_that_is_over_stands_there_until_its_gate_passes(company: Company) -> None:
    await company.manifest()
    until_ms = company.clock.wall_ms() + 5 * DAY_MS
    await company.plan.waive(
        TENANT, "6.a", WORKFLOW, by="user:risk", reason="new here", until_ms=until_ms, may_waive=True
    )
    found = await page(company)
    assert [one.waiver.gate for one in found.waived] == ["6.a"] and not found.past
    company.pass_days(6)
    found = await page(company)
    assert not found.waived
    (line,) = found.past
    assert (line.waiver.reason, line.left_ms) == ("new here", -DAY_MS)
    await company.staffed()
    assert not (await page(company)).past


async def test_what_was_renewed_or_taken_back_is_not_over(company: Company) -> None:
    await company.manifest()
    for days in (5, 12):
        until_ms = company.clock.wall_ms() + days * DAY_MS
        await company.plan.waive(TENANT, "6.a", WORKFLOW, by="user:risk", reason="a", until_ms=until_ms, may_waive=True)
    company.pass_days(6)
    found = await page(company)
    assert not found.past and len(found.waived) == 1
    await company.plan.end_waiver(TENANT, found.waived[0].waiver.id, "user:risk")
    company.pass_days(30)
    assert not (await page(company)).past
    assert waiver_lines((), {}, 0) == ((), ())


class Texts(HTMLParser):
    """What a browser would show, and which elements there are."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.words = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See ``HTMLParser``."""
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        """See ``HTMLParser``."""
        self.words += data


async def test_the_mail_says_the_same_in_text_and_html_and_escapes_what_people_wrote(company: Company) -> None:
    await company.manifest()
    until_ms = company.clock.wall_ms() + 5 * DAY_MS
    nasty = "<img src=x onerror=alert(1)> & so on"
    await company.plan.waive(TENANT, "6.a", WORKFLOW, by="user:risk", reason=nasty, until_ms=until_ms, may_waive=True)
    found = await page(company)
    part = MailPart("What it costs", [("answer-mail", "3.61 USD in 7 days, +2.10 USD")], "Nothing was spent.")
    mail = monday_mail(found, [part], "https://hold.example/console/#/plan?a=1&b=2")
    shown = Texts(mail.html)
    assert "img" not in shown.elements and nasty in shown.words
    assert nasty in " ".join(mail.text.split())
    for words in (WORKFLOW, "What it costs", "3.61 USD in 7 days"):
        assert words.casefold() in mail.text.casefold() and words in shown.words
    assert "https://hold.example/console/#/plan?a=1&b=2" in mail.text and "a=1&amp;b=2" in mail.html
    assert all(len(line) <= COLUMNS for line in mail.text.splitlines() if "https://" not in line)
    assert "\n" not in mail.subject and "1 workflow red" not in mail.subject


async def test_an_address_that_is_none_becomes_no_link(company: Company) -> None:
    await company.manifest()
    mail = monday_mail(await page(company), (), "javascript:alert(1)")
    assert "href" not in mail.html


async def test_the_page_survives_the_wire(company: Company) -> None:
    await company.manifest()
    found = await page(company)
    assert msgspec.convert(msgspec.to_builtins(found), Monday) == found


def _person(name: str) -> Person:
    return Person(name, unit="sales")
