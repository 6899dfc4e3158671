"""The text of keys, and the fingerprints of what is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.fingerprint import GUESSABLE, fingerprint, is_token
from holdfast.governance.keys.secret import PATTERN, hash_of, id_of, new_secret

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyOmFubiJ9.c2lnbmF0dXJl"


def test_a_key_is_recognised_and_no_two_are_the_same() -> None:
    made = [new_secret() for _ in range(500)]
    assert len({one.text for one in made}) == len({one.id for one in made}) == len({one.hash for one in made}) == 500
    for one in made:
        assert re.fullmatch(r"hfk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", one.text) and id_of(one.text) == one.id
        assert one.hash == hash_of(one.text) and one.text not in repr(one.hash)
    assert len({one.text[17] for one in made}) > 5, "the secret part varies"


@given(st.integers(4, 65), st.sampled_from("0aZ9xQ"))
def test_a_mistyped_key_is_no_key(place: int, letter: str) -> None:
    text = new_secret().text
    changed = text[:place] + letter + text[place + 1 :]
    assert (id_of(changed) is None) == (changed != text)


@given(st.text(max_size=80))
def test_no_other_text_is_a_key(text: str) -> None:
    assert id_of(text) is None or PATTERN.fullmatch(text)
    assert fingerprint(text) == fingerprint(text)


def test_a_fingerprint_tells_secrets_apart_and_says_nothing() -> None:
    one, two = "sk-proj-abcdefghij0123456789ABCDEFGHIJ", "sk-proj-abcdefghij0123456789ABCDEFGHIK"
    assert re.fullmatch(r"[0-9a-f]{32}", fingerprint(one)) and fingerprint(one) != fingerprint(two)
    assert fingerprint("") == ""
    fingerprint("\udcff" * 30)  # what no UTF-8 has is no reason to fail


@pytest.mark.parametrize(
    "secret", ["EMPTY", "sk-no-key-required", "x" * 100, "sk-" + "0" * 48, "test-key-test-key-test-key"]
)
def test_what_can_be_guessed_is_marked(secret: str) -> None:
    assert fingerprint(secret).startswith(GUESSABLE)


def test_all_tokens_are_one_caller() -> None:
    assert is_token(JWT) and fingerprint(JWT) == fingerprint(f"{JWT}x") == "~token"
    assert not is_token("eyJhbGciOi") and not is_token(new_secret().text)
