"""``holdfast org`` on a store's file and at a server, and the routes behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.governance.keys.commands import app as keys_app
from holdfast.governance.organisation.actions import ACTIONS, ROOT
from holdfast.governance.organisation.commands import app
from holdfast.session.access import VERBS
from tests.unit.governance.governed_server import Run, governed, runner

FILE = """
organisation: {name: Acme, time_zone: Asia/Tokyo, currency: JPY}
teams: [{name: sales}, {name: support}]
workflows: [{name: mail, team: sales, owner: ann, deputy: bob, stage: pilot}]
users: [{name: ann, team: sales}]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "org.yaml"
    path.write_text(FILE)
    return str(path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runner(app, "--governance", str(tmp_path / "store.db"))


def test_an_organisation_is_imported_shown_and_moved(run: Run, file: str, tmp_path: Path) -> None:
    assert "holdfast org import" in run("show")
    would = run("import", file, "--from", "2026-01-01", "--dry-run")
    assert would.splitlines()[0].startswith("would") and "add | user | ann" in would
    assert "holdfast org import" in run("show"), "nothing was changed"
    assert "add | workflow | mail" in run("import", file, "--from", "2026-01-01")
    assert run("import", file, "--from", "2026-01-01") == "Nothing changes."
    assert "workflow | mail | sales |  | ann/bob | pilot" in run("show", "--at", "2026-01-01")
    assert "parent: sales → support" in run("move", "workflow", "mail", "support", "--from", "2026-02-01")
    assert "mail | sales" in run("show", "--at", "2026-01-31") and "mail | support" in run("show", "--at", "2026-02-01")
    csv = tmp_path / "more.csv"
    csv.write_text("kind,name\nteam,legal\n")
    assert "add | team | legal" in run("import", str(csv))


def test_json_has_everything(run: Run, file: str) -> None:
    run("import", file)
    shown = run("show", as_json=True)
    assert (shown["name"], shown["time_zone"], shown["currency"]) == ("Acme", "Asia/Tokyo", "JPY")
    assert shown["workflows"][0]["owner"] == "ann" and {unit["kind"] for unit in shown["units"]} == {"team", "workflow"}


def test_a_person_is_forgotten(run: Run, file: str) -> None:
    run("import", file)
    assert "ann | p-" in run("people")
    assert "no more" in run("forget", "ann") and "nobody here" in run("forget", "ann")
    assert run("people") == "Nobody was seen yet." and "/bob" not in run("show") and "bob" in run("show")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("import", "nowhere.yaml"), "cannot read"),
        (("import", "FILE", "--from", "soon"), "no day"),
        (("show", "--at", "2026-02-30"), "no day"),
        (("move", "planet", "mars", "sales"), "kind"),
        (("move", "team", "mars", "sales"), "no team"),
    ],
)
def test_what_is_wrong_is_said(run: Run, file: str, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(HoldfastError, match=words):
        run(*(file if one == "FILE" else one for one in arguments))


@pytest.mark.anyio
async def test_a_server_is_asked_and_its_doors_hold(tmp_path: Path, file: str) -> None:
    async with governed(tmp_path / "store.db") as (site, extension):
        lead = runner(app, "--url", site.url, "--token", site.token(capabilities={"*": ["spend", "budget"]}))
        viewer = runner(app, "--url", site.url, "--token", site.token(capabilities={"*": ["spend"]}))
        operator = runner(app, "--url", site.url, "--token", site.token())
        here = runner(app, "--governance", str(tmp_path / "store.db"))
        assert "add | workflow | mail" in await asyncio.to_thread(lead, "import", file)
        assert "mail | sales" in await asyncio.to_thread(viewer, "show")
        whose = extension.organisation.resolve({"workflow": "mail"}, extension.clock.wall_ms(), "acme")
        assert whose.team == "sales", "the server knows it at once"
        for ask, arguments in (
            (viewer, ("import", file)),
            (viewer, ("move", "workflow", "mail", "support")),
            (viewer, ("people",)),
            (lead, ("forget", "ann")),
            (operator, ("show",)),
            (operator, ("people",)),
        ):
            with pytest.raises(Refused) as refused:
                await asyncio.to_thread(ask, *arguments)
            assert refused.value.code == "auth.denied", arguments
        assert "no more" in await asyncio.to_thread(operator, "forget", "ann")
        with pytest.raises(HoldfastError) as locked:
            await asyncio.to_thread(here, "show")
        assert locked.value.code == "engine.locked" and "--url" in locked.value.fix
        async with site.http(site.token(capabilities={"*": ["budget"]})) as http:
            answer = await http.post(f"{ROOT}/import", params={"format": "xml"}, content=b"")
            assert answer.json()["error"]["code"] == "input.malformed"
            answer = await http.post(f"{ROOT}/import", params={"dry_run": "yes"}, content=b"")
            assert "dry_run" in answer.json()["error"]["message"]
            answer = await http.post(f"{ROOT}/import", content=b" " * ((1 << 20) + 1))
            assert answer.status_code == 413


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    for group in (app, keys_app):
        with pytest.raises(Unavailable) as refused:
            command = "show" if group is app else "list"
            runner(group, "--url", "http://127.0.0.1:9", "--token", "secret")(command)
        assert refused.value.code == "connection.lost" and "secret" not in refused.value.text


def test_reading_rights_change_nothing() -> None:
    for action in ACTIONS:
        assert action.verb in VERBS
        assert (action.method == "GET") == (action.verb == "spend" or action.name == "people")
