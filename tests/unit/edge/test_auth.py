"""Access tokens: what is accepted, and every way in which one is not (ACC-1, ACC-2)."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from jwt.warnings import InsecureKeyLengthWarning

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.errors import HoldfastError, Refused
from holdfast.session.access import MONEY_VERBS, VERBS, Capability

SECRET = "s" * 48


def claims(**changes: object) -> dict[str, object]:
    made: dict[str, object] = {
        "sub": "user:ann", "tenant": "acme", "caps": {"*": ["read"]}, "jti": "t1", "iss": "holdfast", "aud": "holdfast",
        "exp": int(time.time()) + 60,
    }  # fmt: skip
    made.update(changes)
    return {name: value for name, value in made.items() if value is not None}


def verify(token: str, **settings: object) -> object:
    return auth.Verifier(Settings(**settings), SECRET).verify(token)  # type: ignore[arg-type]


def code_of(token: str, **settings: object) -> str:
    with pytest.raises(Refused) as refused:
        verify(token, **settings)
    return refused.value.code


def test_what_is_minted_is_accepted() -> None:
    principal = auth.Verifier(Settings(), SECRET).verify(
        auth.mint(SECRET, subject="agent:writer", tenant="acme", capabilities={"a*": ["read", "append"]})
    )
    assert principal.actor == "agent:writer" and principal.tenant == "acme" and principal.agents == {"writer"}
    assert principal.may("read", "abc") and not principal.may("read", "b") and not principal.may("control", "abc")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"exp": int(time.time()) - 5}, "auth.expired"),
        ({"exp": None}, "auth.invalid"),
        ({"iss": "somebody"}, "auth.invalid"),
        ({"aud": "elsewhere"}, "auth.invalid"),
        ({"sub": "ann"}, "auth.invalid"),
        ({"sub": "root:ann"}, "auth.invalid"),
        ({"sub": None}, "auth.invalid"),
        ({"jti": None}, "auth.invalid"),
        ({"jti": 7}, "auth.invalid"),
        ({"tenant": "../other"}, "auth.invalid"),
        ({"tenant": ["acme"]}, "auth.invalid"),
        ({"caps": ["*"]}, "auth.invalid"),
        ({"caps": {"*": ["fly"]}}, "auth.invalid"),
        ({"caps": {"a*b": ["read"]}}, "auth.invalid"),
        ({"caps": {"": ["read"]}}, "auth.invalid"),
        ({"caps": {str(i): ["read"] for i in range(65)}}, "auth.invalid"),
        ({"agents": "writer"}, "auth.invalid"),
    ],
)
def test_claims_that_do_not_hold(changed: dict[str, object], code: str) -> None:
    assert code_of(jwt.encode(claims(**changed), SECRET, "HS256")) == code


def test_a_token_for_everything_has_no_right_over_money_that_it_does_not_name() -> None:
    verifier = auth.Verifier(Settings(), SECRET)
    everything = verifier.verify(auth.mint(SECRET, subject="user:ann"))
    assert everything.may("admin", "*") and everything.may("record", "s")
    assert not any(everything.may(verb, "*") for verb in MONEY_VERBS)
    named = verifier.verify(auth.mint(SECRET, subject="user:ann", capabilities={"*": ["spend", "audit"]}))
    assert {verb for verb in VERBS if named.may(verb, "*")} == {"spend", "audit"}


def test_algorithms_are_pinned() -> None:
    assert code_of(jwt.encode(claims(), "", "none")) == "auth.invalid"
    with pytest.warns(InsecureKeyLengthWarning):
        longer = jwt.encode(claims(), SECRET, "HS512")
    assert code_of(longer) == "auth.invalid"
    assert code_of(jwt.encode(claims(), "another secret of 32 characters!", "HS256")) == "auth.invalid"
    assert code_of("") == "auth.required"
    assert code_of("x" * 9_000) == "auth.invalid"
    assert code_of("not.a.token") == "auth.invalid"


def test_a_public_key_is_never_a_shared_secret(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path = tmp_path / "public.pem"
    path.write_bytes(public)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pinned = {"algorithms": ("RS256",), "public_key_file": str(path)}
    assert verify(jwt.encode(claims(), private, "RS256"), **pinned)
    body = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT"}') + b"."
    body += jwt.utils.base64url_encode(jwt.api_jws.json.dumps(claims()).encode())
    import hashlib
    import hmac

    forged = body + b"." + jwt.utils.base64url_encode(hmac.new(public, body, hashlib.sha256).digest())
    assert code_of(forged.decode(), **pinned) == "auth.invalid"
    both = {"algorithms": ("HS256", "RS256"), "public_key_file": str(path)}
    assert code_of(forged.decode(), **both) == "auth.invalid"


def test_eddsa(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "public.pem"
    path.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    pinned = {"algorithms": ("EdDSA",), "public_key_file": str(path)}
    assert verify(jwt.encode(claims(), key, "EdDSA"), **pinned)
    other = ed25519.Ed25519PrivateKey.generate()
    assert code_of(jwt.encode(claims(), other, "EdDSA"), **pinned) == "auth.invalid"


def test_the_secret_is_made_once_and_nobody_else_reads_it(tmp_path: Path) -> None:
    settings = Settings(db=str(tmp_path / "x.db"))
    secret = auth.ensure_secret(settings)
    assert auth.ensure_secret(settings) == secret == auth.read_secret(settings.db)
    assert auth.secret_path(settings.db).stat().st_mode & 0o777 == 0o600
    auth.secret_path(settings.db).write_text("short")
    with pytest.raises(HoldfastError):
        auth.ensure_secret(settings)


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        (("a*", {"read"}), ("*", {"read", "append"}), True),
        (("ab", {"read"}), ("a*", {"read"}), True),
        (("a*", {"read"}), ("ab*", {"read"}), False),
        (("*", {"read"}), ("a*", {"read"}), False),
        (("a*", {"read"}), ("a", {"read"}), False),
        (("a", {"read", "admin"}), ("a", {"read"}), False),
    ],
)
def test_narrower(inner: tuple[str, set[str]], outer: tuple[str, set[str]], within: bool) -> None:
    make = lambda c: Capability(c[0], frozenset(c[1]))  # noqa: E731
    assert make(inner).within(make(outer)) is within


def sign_in_of(**changes: object) -> str | None:
    principal = verify(jwt.encode(claims(**changes), SECRET, "HS256"))
    return dict(principal.labels).get("sign_in")  # type: ignore[attr-defined]


def test_when_a_person_signed_in_is_what_their_issuer_says() -> None:
    before = int(time.time()) - 600
    assert sign_in_of(auth_time=before) == str(before)
    assert sign_in_of(auth_time=before + 0.5) == str(before)
    assert sign_in_of(labels={"sign_in": str(before)}) == str(before)
    assert sign_in_of(auth_time=before, labels={"sign_in": str(before + 300)}) == str(before), "one word counts"
    assert sign_in_of(auth_time=before, sub="agent:writer") is None, "an agent signs in nowhere"
    assert sign_in_of() is None


AHEAD = 95_617_584_000
"""Unix seconds of the year 5000: the same for all who collect these tests."""


@pytest.mark.parametrize("moment", ["now", None, True, 0, -5, "1700000000", [1], AHEAD, 10**15])
def test_a_sign_in_that_is_no_moment_or_lies_ahead_is_none(moment: object) -> None:
    assert sign_in_of(auth_time=moment, labels={"sign_in": "1"}) is None or moment is None


@pytest.mark.parametrize("value", ["yesterday", "0", "-1", "1.5", "١٢٣", "1" * 13, str(AHEAD)])
def test_a_label_that_says_of_a_sign_in_what_cannot_be_is_refused(value: str) -> None:
    assert code_of(jwt.encode(claims(labels={"sign_in": value}), SECRET, "HS256")) == "auth.invalid"
    assert code_of(jwt.encode(claims(labels={"sign_in": value}, sub="agent:a"), SECRET, "HS256")) == "auth.invalid"


def test_a_sign_in_is_seen_where_a_person_comes_with_their_own_token() -> None:
    """Not where an agent acts for them, nor with what was minted from theirs: then they did not come."""
    verifier, seen = auth.Verifier(Settings(), SECRET), list[tuple[str, str]]()
    verifier.seen = lambda principal, email: seen.append((principal.actor, email))
    before = int(time.time()) - 600
    for changes in (
        {"auth_time": before, "act": {"sub": "agent:writer"}},
        {"auth_time": before, "act": {}},
        {"auth_time": before, "lineage": [["t0", "user:ann"]]},
        {"labels": {"sign_in": str(before)}, "lineage": [["t0", "user:ann"], ["t1", "agent:writer"]]},
        {"labels": {"sign_in": str(before)}, "sub": "agent:writer"},
        {"auth_time": int(time.time()) + 86_400},
        {},
    ):
        verifier.verify(jwt.encode(claims(**changes), SECRET, "HS256"))
    with pytest.raises(Refused):
        verifier.verify(jwt.encode(claims(auth_time=before, exp=int(time.time()) - 5), SECRET, "HS256"))
    assert seen == []
    for email, verified in (("ann@x.example", None), ("ann@x.example", "true"), (7, True), ("ann@x.example", True)):
        token = claims(auth_time=before, email=email, email_verified=verified)
        verifier.verify(jwt.encode(token, SECRET, "HS256"))
    assert seen == [("user:ann", "")] * 3 + [("user:ann", "ann@x.example")]
