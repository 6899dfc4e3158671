"""Planted bugs of the directory: who leaves and is not seen to, who comes in, and who says when somebody signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.planting import replace

from holdfast.edge import auth, tokens
from holdfast.governance.directory import names as directory_names
from holdfast.governance.directory import resources, service, store
from holdfast.governance.directory.scim import people, storage, tolerance
from holdfast.session import labels
from tests.mutants.plant import mutant

DIRECTORY = "tests/unit/governance/directory"
SERVICE = f"{DIRECTORY}/test_service.py"
LINEAGE = "tests/unit/edge/test_lineage.py"


@mutant(
    "GATE-1",
    "whoever the provider deactivated works here still",
    f"{DIRECTORY}/test_scim.py::test_active_is_taken_away_in_every_way_in_which_they_say_it[sqlite]",
)
def active_for_ever() -> None:
    real = people.person_of

    def person_of(document: Mapping[str, Any], ident: str, created_ms: int, changed_ms: int) -> Any:
        return real({**document, "active": True}, ident, created_ms, changed_ms)

    replace(people, "person_of", person_of)
    replace(storage, "person_of", person_of)


@mutant(
    "GATE-1",
    "other processes do not see who was deleted",
    f"{SERVICE}::test_what_another_process_wrote_is_seen_with_one_look[sqlite]",
)
def deleted_unseen() -> None:
    real = store.read_since

    def read_since(connection: Any, number: int) -> Any:
        news = real(connection, number)
        return news._replace(people=[one for one in news.people if one[2] is not None])

    replace(store, "read_since", read_since)


@mutant(
    "GATE-1",
    "a login makes somebody whom SCIM does not have",
    f"{SERVICE}::test_a_login_makes_somebody_only_where_no_directory_keeps_people[sqlite]",
)
def login_beside_scim() -> None:
    replace(store, "last_sync", lambda connection, tenant, source: None)


@mutant("GATE-1", "a removal of nobody removes everybody from a group", f"{DIRECTORY}/test_tolerance.py")
def everybody_removed() -> None:
    real = tolerance._operation

    def _operation(operation: dict[str, Any]) -> dict[str, Any]:
        found = real(operation)
        empty = str(found.get("path", "")).endswith('[value eq ""]')
        return {"op": "remove", "path": found["path"].partition("[")[0]} if empty else found

    replace(tolerance, "_operation", _operation)


@mutant(
    "ACC-1",
    "a revoked token of a provider opens the directory still",
    f"{SERVICE}::test_a_token_opens_its_tenant_until_it_is_revoked_or_over[sqlite]",
)
def revoked_opens() -> None:
    def tenant_of(self: Any, text: str) -> str:
        ident = service.secret_text.id_of(text)
        token, digest = self._tokens.get(ident or "", (None, ""))
        if token is None or not service.secret_text.matches(text, digest) or token.expires_ms <= self._now_ms():
            raise service.Refused("directory.denied")
        return str(token.tenant)

    replace(service.Directory, "tenant_of", tenant_of)


@mutant(
    "ACC-1",
    "a resource is found by its id, whosever it is",
    f"{DIRECTORY}/test_doors.py::test_a_tenant_sees_its_own_and_nobody_elses[sqlite]",
)
def any_tenants_resource() -> None:
    def get(connection: Any, tenant: str, kind: Any, ident: str) -> Any:
        table = resources._TABLES[kind]
        row = connection.execute(resources.select(*resources._columns(table)).where(table.c.id == ident)).first()
        if row is None:
            raise resources.NotThere
        return resources.StoredResource(*row)

    replace(resources, "get", get)


@mutant(
    "ACC-2",
    "whoever administers says anew when somebody signed in",
    f"{LINEAGE}::test_when_somebody_signed_in_goes_on_with_their_tokens_and_their_agents_and_nobody_says_it_anew",
)
def signed_in_anew() -> None:
    def merged(principal: Any, request: Any) -> dict[str, str]:
        return dict(principal.labels) | request.labels

    replace(tokens, "_labels", merged)


@mutant(
    "ACC-2", "a token for somebody else says that they signed in", f"{LINEAGE}::test_nobody_signs_in_for_somebody_else"
)
def signed_in_for_another() -> None:
    replace(tokens, "_person", lambda principal: "user:bob")


@mutant("ACC-1", "a sign-in that lies ahead is one", "tests/unit/edge/test_auth.py")
def signed_in_tomorrow() -> None:
    replace(labels, "check_sign_in", lambda labels, until_s: None)


NAMES = f"{DIRECTORY}/test_names.py"


@mutant(
    "GATE-1",
    "whoever takes on somebody's address is that person",
    f"{NAMES}::test_nobody_becomes_somebody_else_by_taking_on_their_name[sqlite]",
)
def anybody_of_several() -> None:
    def find(self: Any, name: str) -> Any:
        return next(iter(self.candidates(name)), None)

    replace(directory_names.PeopleIndex, "find", find)


@mutant(
    "GATE-1",
    "an address that nobody verified is a name to log in under",
    "tests/unit/governance/oversight/test_sign_in.py::test_nobody_logs_in_under_an_address_of_somebody_here_that_is_not_verified[sqlite]",
)
def unverified_name() -> None:
    replace(service.Directory, "is_unproven", lambda self, tenant, login: False)


@mutant(
    "GATE-1",
    "private addresses, which people write themselves, name people",
    f"{NAMES}::test_somebody_is_one_person_under_all_names_that_the_directory_has[sqlite]",
)
def private_addresses() -> None:
    def addresses(person: Any, document: Mapping[str, Any]) -> list[str]:
        return [str(one.get("value")).casefold() for one in document.get("emails") or []]

    replace(store, "addresses", addresses)


@mutant(
    "GATE-1",
    "a token that an agent was lent shows that its person signed in",
    "tests/unit/edge/test_auth.py::test_a_sign_in_is_seen_where_a_person_comes_with_their_own_token",
)
def lent_sign_in() -> None:
    replace(auth, "_in_person", lambda principal, claims: any(name == "sign_in" for name, _ in principal.labels))
