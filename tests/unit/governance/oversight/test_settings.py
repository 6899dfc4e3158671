"""What the settings of the login mean, and what is refused because it could not be enforced."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import HoldfastError
from holdfast.governance.oversight.roles import ROLES, WRITING, verbs_of
from holdfast.governance.oversight.settings import LoginSettings, login_config
from holdfast.session.access import MONEY_VERBS, VERBS

GOOD: dict[str, Any] = {
    "oidc_issuer": "https://id.example/realm",
    "oidc_client_id": "holdfast",
    "oidc_client_secret": "env:OIDC_SECRET",
    "oidc_public_url": "https://Holdfast.example/",
    "oidc_roles": "CN=fin,OU=acme=finops; platform=operator;platform=owner",
}


def test_settings_say_who_has_which_role() -> None:
    config = login_config(LoginSettings(**GOOD))
    assert config is not None and config.secure and config.public_url == "https://holdfast.example"
    assert config.roles == {"CN=fin,OU=acme": ("finops",), "platform": ("operator", "owner")}
    local = login_config(
        LoginSettings(**GOOD | {"oidc_issuer": "http://localhost:9", "oidc_public_url": "http://127.0.0.1:7417"})
    )
    assert local is not None and not local.secure
    assert login_config(LoginSettings()) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oidc_issuer": ""}, "OIDC_CLIENT_ID.*no issuer"),
        ({"oidc_issuer": "http://id.example"}, "OIDC_ISSUER.*https"),
        ({"oidc_issuer": "https://a:b@id.example"}, "OIDC_ISSUER"),
        ({"oidc_issuer": "https://["}, "OIDC_ISSUER"),
        ({"oidc_client_id": ""}, "OIDC_CLIENT_ID"),
        ({"oidc_client_secret": "s3cr3t"}, "OIDC_CLIENT_SECRET.*no setting"),
        ({"oidc_public_url": ""}, "OIDC_PUBLIC_URL"),
        ({"oidc_public_url": "http://holdfast.example"}, "OIDC_PUBLIC_URL.*https"),
        ({"oidc_public_url": "https://holdfast.example/console"}, "OIDC_PUBLIC_URL.*nothing more"),
        ({"oidc_roles": ""}, "nobody could log in"),
        ({"oidc_roles": "finance=admin"}, "roles are owner"),
        ({"oidc_roles": "finance"}, "GROUP=ROLE"),
        ({"oidc_scopes": "profile"}, "OIDC_SCOPES"),
        ({"oidc_actor_claim": ""}, "name a claim"),
    ],
)
def test_what_cannot_be_enforced_is_refused(changes: dict[str, str], words: str) -> None:
    with pytest.raises(HoldfastError, match=words) as refused:
        login_config(LoginSettings(**GOOD | changes))
    assert refused.value.code == "config.invalid" and "s3cr3t" not in refused.value.text


def test_roles_grant_what_they_are_for_and_no_more() -> None:
    for role, verbs in ROLES.items():
        assert verbs <= VERBS and verbs_of([role]) == sorted(verbs), role
    assert not ROLES["auditor"] & WRITING, "an auditor changes nothing"
    assert WRITING | {"read", "spend", "audit"} == VERBS
    assert not ROLES["finops"] & {"read", "admin"}, "money is no reason to read conversations"
    assert "waive" in ROLES["owner"] and "admin" not in ROLES["owner"]
    for verb in MONEY_VERBS:
        assert any(verb in verbs for verbs in ROLES.values()), f"nobody could {verb}"
    assert verbs_of(["finops", "auditor"]) == sorted(ROLES["finops"] | ROLES["auditor"]) and verbs_of([]) == []
