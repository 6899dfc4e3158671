"""How many may come, and how many of them without a word."""

from __future__ import annotations

import pytest

from holdfast.edge.config import Settings
from holdfast.edge.crowd import Crowd
from holdfast.errors import Unavailable
from holdfast.session.access import anyone

ANN = anyone("acme", "user:ann")


def test_those_who_say_nothing_leave_room_for_those_who_do() -> None:
    crowd = Crowd(Settings(connections=10))
    for _ in range(5):
        crowd.arrive()
    with pytest.raises(Unavailable):
        crowd.arrive()
    crowd.name(ANN)
    crowd.arrive()
    assert (crowd.total, crowd.strangers) == (6, 5)


def test_everybody_who_leaves_makes_room() -> None:
    crowd = Crowd(Settings(connections=2, connections_per_principal=1))
    for _ in range(3):
        crowd.arrive()
        crowd.name(ANN)
        crowd.leave(ANN)
        crowd.arrive()
        crowd.leave(None)
    assert (crowd.total, crowd.strangers) == (0, 0)
    crowd.arrive()
    crowd.name(ANN)
    crowd.arrive()
    with pytest.raises(Unavailable):
        crowd.name(ANN)
