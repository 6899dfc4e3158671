"""A key is no sign-in: whatever stands among its labels, its calls do not say that a person is there."""

from __future__ import annotations

from msgspec.structs import replace

from holdfast.governance.keys.model import KeyRequest, NameRequest, key_of, named

REQUEST = KeyRequest(workflow="mail", team="sales", task="draft", models=("m",), user="ann")


def test_a_key_from_before_says_nothing_of_a_sign_in_to_the_gateway() -> None:
    key = key_of(REQUEST, "k1", "acme", 1, "user:ann")
    old = replace(key, labels=key.labels | {"sign_in": "1700000000"})
    assert "sign_in" not in dict(old.caller().labels)
    assert dict(old.caller().labels) == key.labels
    renamed = named(old, NameRequest(task="answer"))
    assert "sign_in" not in dict(renamed.caller().labels)
