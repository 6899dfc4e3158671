"""``holdfast directory`` on a store, and at a server whose doors hold."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.errors import Refused
from holdfast.governance.directory.commands import app
from holdfast.governance.extension import GovernanceExtension
from holdfast.governance.settings import GovernanceSettings
from tests.extensions.conftest import SETTINGS, served
from tests.unit.governance.directory.served_directory import USER
from tests.unit.governance.governed_server import runner


def test_people_come_from_a_file_and_tokens_are_shown_once(tmp_path: Path) -> None:
    typed = runner(app, "--governance", str(tmp_path / "store.db"))
    assert "Nobody" in typed("people")
    file = tmp_path / "people.csv"
    file.write_text("user_name,unit,user_type\nann,Finance,Employee\nbob,Legal,Bot\n")
    assert "2 people: 2 new or changed, 0 not active" in typed("import", str(file))
    file.write_text("user_name,unit\nann,Finance\n")
    assert "1 person: 1 new or changed, 1 not active" in typed("import", str(file))
    lines = typed("people").splitlines()
    assert any(line.startswith("bob | – | Legal | Bot | no | no | – | import") for line in lines), lines
    assert lines[-1].startswith("2 people. A file keeps them; heard last 20")
    assert [one["user_name"] for one in typed("people", "finan", as_json=True)["people"]] == ["ann"]

    secret = typed("token", "--days", "30").splitlines()[0]
    assert secret.startswith("hfd_")
    listed = typed("tokens")
    ident = secret.split("_")[1]
    assert ident in listed and secret not in listed
    assert "opens nothing" in typed("revoke", ident)
    assert typed("tokens", as_json=True)["tokens"][0]["revoked_ms"]
    for wrong in (("revoke", "nothing"), ("token", "--days", "400")):
        with pytest.raises(Refused):
            typed(*wrong)


@pytest.mark.anyio
async def test_a_server_answers_who_may_and_takes_the_provider(tmp_path: Path) -> None:
    extension = GovernanceExtension(GovernanceSettings(url=str(tmp_path / "store.db")), SETTINGS)
    async with served([extension]) as site:

        async def typed(verb: str, *arguments: str, as_json: bool = False) -> Any:
            token = site.token("user:dee", capabilities={"*": [verb]})
            asks = runner(app, "--url", site.url, "--token", token)
            return await asyncio.to_thread(asks, *arguments, as_json=as_json)

        made = await typed("budget", "token", as_json=True)
        assert made["token"]["created_by"] == "user:dee" and made["token"]["tenant"] == "acme"
        headers = {"authorization": f"Bearer {made['secret']}"}
        async with httpx.AsyncClient(base_url=site.url, headers=headers, trust_env=False) as http:
            answer = await http.post(
                "/v1/scim/v2/Users", json={"schemas": [USER], "userName": "ann", "active": "False"}
            )
            assert answer.status_code == 201, answer.text
            assert answer.json()["meta"]["location"].startswith(f"{site.url}/v1/scim/v2/Users/")
        people = await typed("budget", "people", as_json=True)
        assert [(one["user_name"], one["active"]) for one in people["people"]] == [("ann", False)]
        assert people["source"] == "scim" and people["heard_ms"]
        file = tmp_path / "people.csv"
        file.write_text("user_name\nann\nbob\n")
        assert "1 are kept by SCIM" in await typed("budget", "import", str(file))
        for words in (("people",), ("token",), ("tokens",), ("revoke", made["token"]["id"]), ("import", str(file))):
            with pytest.raises(Refused) as refused:
                await typed("spend", *words)
            assert refused.value.code == "auth.denied", words
        await typed("budget", "revoke", made["token"]["id"])
        async with httpx.AsyncClient(base_url=site.url, headers=headers, trust_env=False) as http:
            assert (await http.get("/v1/scim/v2/Users")).status_code == 401
