"""Files that describe an organisation: what they say, and every way in which they are refused."""

from __future__ import annotations

import pytest

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.organisation.document import Format, parse
from holdfast.governance.organisation.model import Unit, Workflow

YAML = b"""
organisation: {name: Acme, time_zone: Europe/Berlin, currency: EUR}
cost_centres: [{name: 0815, title: Sales}]
teams:
  - {name: sales, cost_centre: 0815, tags: {region: no}}
  - {name: inside, team: sales}
workflows:
  - {name: answer-mail, team: inside, owner: ann, deputy: bob, stage: pilot}
users: [{name: ann, team: inside}]
"""
CSV = b"""kind,name,title,team,cost_centre,owner,deputy,stage,tags,time_zone,currency
organisation,Acme,,,,,,,,Europe/Berlin,EUR
cost_centre,0815,Sales,,,,,,,,
team,sales,,,0815,,,,region=no,,
team,inside,,sales,,,,,,,
workflow,answer-mail,,inside,,ann,bob,pilot,,,

user,ann,,inside,,,,,,,
"""


def test_yaml_and_csv_say_the_same() -> None:
    file = parse(YAML, "yaml")
    assert file == parse(CSV, "csv") == parse(b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n"), "csv")
    assert file.users == {"ann": "inside"}
    assert file.described.workflows == (Workflow("answer-mail", "ann", "bob", "pilot"),)
    units = {(unit.kind, unit.name): unit for unit in file.described.units}
    assert units["cost_centre", "0815"].title == "Sales", "a number is a name"
    assert units["team", "sales"] == Unit("team", "sales", "", "", "0815", {"region": "no"}), "and so is no"
    assert units["organisation", "organisation"].zone == "Europe/Berlin"


def test_a_file_may_say_little() -> None:
    assert parse(b"", "yaml").described.units == ()
    assert parse(b"kind,name\nteam,sales\n", "csv").described.units == (Unit("team", "sales"),)


BOMB = b"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n"


@pytest.mark.parametrize(
    ("data", "format", "words"),
    [
        (b"teams: [{name: a, colour: red}]", "yaml", "colour"),
        (b"team: [{name: a}]", "yaml", "team"),
        (b"teams: [{}]", "yaml", "name"),
        (b"teams: {name: a}", "yaml", "teams"),
        (b"teams: [{name: a", "yaml", "line 1"),
        (b"- a", "yaml", "file"),
        (BOMB, "yaml", "aliases"),
        (b"!!python/object/apply:os.system ['true']", "yaml", "YAML"),
        (b"[" * 100_000, "yaml", "YAML"),
        (b"workflows: [{name: a, stage: done}]", "yaml", "stage"),
        (b"organisation: {name: a, time_zone: Mars/Base}", "yaml", "Mars"),
        (b"organisation: {name: a, currency: euro}", "yaml", "currency"),
        (b"users: [{name: a}, {name: a}]", "yaml", "twice"),
        (b"\xff", "yaml", "UTF-8"),
        (b"name\na\n", "csv", "columns"),
        (b"kind,name,colour\nteam,a,red\n", "csv", "columns"),
        (b"kind,name\nteam,a,b\n", "csv", "line 2"),
        (b"kind,name\nplanet,a\n", "csv", "planet"),
        (b"kind,name,tags\nteam,a,red\n", "csv", "NAME=VALUE"),
        (b'kind,name\n"team,a\n', "csv", "CSV"),
        (b"kind,name,owner\nteam,a,ann\n", "csv", "owner"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, format: Format, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        parse(data, format)
    assert refused.value.code in ("org.invalid", "input.malformed")


def test_a_file_is_bounded() -> None:
    with pytest.raises(Refused) as refused:
        parse(b" " * (limits.ORG_IMPORT_BYTES + 1), "yaml")
    assert refused.value.code == "input.too_large"
    many = "kind,name\n" + "".join(f"team,t{n}\n" for n in range(limits.ORG_UNITS + 1))
    with pytest.raises(Refused) as refused:
        parse(many.encode(), "csv")
    assert refused.value.code == "input.too_large"
