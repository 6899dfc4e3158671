"""What somebody else wrote is shown as it is in a terminal and in a log, and does nothing there."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re

import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.audit.finding import Advice, Contact, Finding, Report, score_of
from holdfast.audit.report import page, terminal
from holdfast.cli import output
from holdfast.errors import Refused
from holdfast.protocol import wire
from holdfast.protocol.events import Draft
from holdfast.visible import Visible, logger, visible, visible_json
from tests.unit.cli.test_commands import outcome
from tests.unit.edge.conftest import Site, anyio_backend, settings, site

__all__ = ["anyio_backend", "settings", "site"]

ACTS = {
    "escape": "\x1b[2K\x1b[1G", "clipboard (OSC 52)": "\x1b]52;c;ZXZpbA==\x07", "C1 control": "\x9b2K\x9d52;c;eA==\x9c",
    "bidi override": "\u202edaer\u202c", "bidi isolate": "\u2066x\u2069", "mark": "\u200f\u061c", "return": "\rapproved",
    "backspace": "\x08\x08\x08", "delete": "\x7f", "vertical": "\x0b\x0c", "null": "\x00", "line separator": "\u2028\u2029",
    "line": "\na1  read_file README", "nothing to see": "\u200b\u2060\ufeff\u00ad", "tag": "\U000e0041",
}  # fmt: skip
MARKUP = "[bold red]x[/] [link=http://evil.example]y[/link] :boom:"
NASTY = "".join(ACTS.values()) + MARKUP
CASE = "delete_everything\x1b[2K\x1b[1Ga1  read_file README"
LEFT = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


@pytest.mark.parametrize("kind", ACTS)
def test_what_acts_is_an_escape(kind: str) -> None:
    assert visible(ACTS[kind]).isprintable() and not LEFT.search(visible(ACTS[kind]))
    assert not LEFT.search(visible_json(json.dumps(ACTS[kind], ensure_ascii=False)))
    assert json.loads(visible_json(json.dumps(ACTS[kind], ensure_ascii=False))) == ACTS[kind]


def test_what_is_written_stays_as_it_is() -> None:
    for words in ("O'Brien ‘é’ 日本語 עברית العربية", "👩‍💻 🌊", "نمی‌خواهم", "a\\b [bold]", ""):
        assert visible(words) == words == visible_json(words)
    assert visible("a\tb\r\nc\n", lines=True) == "a\tb\nc\n"
    assert visible("\ud83c") == "\\ud83c" and visible(7) == "7"


def test_a_line_that_somebody_wrote_is_no_line_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("one\ntwo")
    output.say(output.prose("three\nfour"))
    assert printed(capsys) == "one\\ntwo\nthree\n  four\n"


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_what_comes_to_the_terminal_by_another_way_does_nothing_either(monkeypatch: pytest.MonkeyPatch) -> None:
    to = output.Terminal()
    to.file = io.StringIO()
    to.print(NASTY)
    to.print(output.table(("a",), [(NASTY,)]))
    to.log(NASTY)
    shown = to.file.getvalue()
    assert not LEFT.search(shown) and "[link=http" in shown.replace("\n", "")


def test_errors_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        output.say_error(Refused("input.malformed", NASTY, fix=NASTY, by=NASTY), as_json=as_json)
    said = capsys.readouterr().err
    assert not LEFT.search(said) and "\\x1b" in said and "\\u001b" in said


# --- a server that others have written to
async def written(site: Site) -> None:
    """A session in which everything that may hold text holds this."""

    async def act(run: RunContext) -> None:
        await run.say(NASTY)
        await run.tool(NASTY, {"a": NASTY}, lambda a: NASTY)
        await run.activity(NASTY, NASTY)
        async with run.step(NASTY):
            await run.emit("CUSTOM", {"name": NASTY, "value": NASTY})
        if run.input.text == "fail":
            raise ValueError(NASTY)
        await run.approve(CASE + NASTY, {NASTY: NASTY}, wait=True)

    async with Holdfast(site.url, token=site.token("agent:w", agents=["*"])) as hf:
        hf.add_agent(NASTY[:60], act)
        serving = asyncio.create_task(hf.serve(signals=False))
        async with Holdfast(site.url, token=site.token()) as person:
            session = await person.create("s1", title=NASTY, agent=NASTY[:60])
            await (await session.send("fail")).finished()
            run = await session.send(NASTY)
            await session.connection.request(wire.Append(session="s1", events=[Draft("CUSTOM", {"name": NASTY})]))
            async with session.live() as live:
                await live.until(lambda view: view.runs[run.id]["status"] == "waiting")
        serving.cancel()


@pytest.mark.anyio
async def test_every_command_that_shows_a_session(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    await written(site)
    assert "\\x1b" in caplog.text and not LEFT.search(caplog.text), "the worker told that its agent failed"
    at = ["--url", site.url, "--token", site.token()]
    lines = [
        ["sessions"], ["sessions", "--json"], ["tail", "s1", "--folded"], ["tail", "s1", "--folded", "--raw"],
        ["approve", "s1"], ["approve", "s1", "--json"],
        ["tail", "s1", "--after", "0", "--until-idle"], ["tail", "s1", "--after", "0", "--until-idle", "--raw"],
    ]  # fmt: skip
    nasty = NASTY.replace("\x00", "")
    for line in ["approve", "s1", nasty], ["steer", "s1", nasty, "x"], ["cancel", "s1", "--run", nasty]:
        _, said = await asyncio.to_thread(outcome, *line, *at)
        assert "not an id" in said and not LEFT.search(said), (line, said)
    for line in lines:
        if "--until-idle" in line:  # now nothing runs any more
            await asyncio.to_thread(outcome, "cancel", "s1", "--all", "--force", *at)
        _, said = await asyncio.to_thread(outcome, *line, *at)
        found = LEFT.search(said)
        assert found is None, (line, said[max(0, found.start() - 40) : found.end() + 40])
        assert re.search(r"\\(x|u00)1b", said), (line, said)
        if line == ["approve", "s1"]:
            assert visible(CASE)[:40] in said.replace("\n", "") and not re.search("^a1  read_file", said, re.MULTILINE)


def test_a_report_on_somebody_elses_server() -> None:
    finding = Finding(
        id="resilient.resume", capability="resilient", title=NASTY, verdict="fail", did=NASTY, expected=NASTY, saw=NASTY,
        evidence=[NASTY],
    )  # fmt: skip
    advice = Advice(name=NASTY, text=NASTY, because=[NASTY], code=NASTY)
    probed = ("resilient", "continuity", "control")
    report = Report(
        capabilities=dict.fromkeys(probed, "fail"), probes=[finding], target=NASTY, driver=NASTY, began=NASTY,
        scores=dict.fromkeys((*probed, "agents"), score_of([finding])), diagnosis=[advice], prescription=[advice],
        contact=Contact(state="ok", message=NASTY), before=NASTY, changed=[{"probe": NASTY, "before": NASTY, "now": NASTY}],
    )  # fmt: skip
    to = output.Terminal()
    to.file = io.StringIO()
    terminal.show(report, to)
    assert not LEFT.search(to.file.getvalue()) and "\\x0b" in to.file.getvalue(), "not even what Rich leaves out"
    assert not LEFT.search(page.page(report))


# --- logs
def test_what_a_log_is_told(caplog: pytest.LogCaptureFixture) -> None:
    log = logger("holdfast.test")
    assert logger("holdfast.test") is log and sum(isinstance(f, Visible) for f in log.filters) == 1
    with caplog.at_level(logging.INFO, "holdfast.test"):
        log.info("agent %s failed in %s", NASTY, NASTY)
        try:
            raise ValueError(NASTY)
        except ValueError:
            log.exception("request %s failed", NASTY)
        log.info("no arguments, 100 %")
    text = logging.Formatter("%(levelname)s %(message)s")
    for record in caplog.records:
        shown = text.format(record)
        assert not LEFT.search(shown)
        assert not re.search("^a1  read_file", shown, re.MULTILINE)
    assert caplog.records[-1].getMessage() == "no arguments, 100 %"
