"""What was written in a session, second by second: bounded, and forgotten by age."""

from __future__ import annotations

from holdfast.hub.activity import Activity
from holdfast.protocol import limits


def test_events_by_second_the_newest_last() -> None:
    activity = Activity()
    assert activity.seconds(100.0) == []
    for now, count in (100.0, 3), (100.9, 4), (102.1, 5):
        activity.record(count, now)
    row = activity.seconds(103.5)
    assert len(row) == limits.ACTIVITY_S
    assert row[-4:] == [7, 0, 5, 0] and sum(row) == 12


def test_what_is_old_is_not_told() -> None:
    activity = Activity()
    activity.record(1, 100.0)
    activity.record(2, 100.0 + limits.ACTIVITY_S - 1)
    assert activity.seconds(100.0 + limits.ACTIVITY_S)[-2:] == [2, 0]
    assert sum(activity.seconds(100.0 + limits.ACTIVITY_S)) == 2
    assert activity.seconds(100.0 + 3 * limits.ACTIVITY_S) == []


def test_however_much_is_written_as_much_is_kept() -> None:
    activity = Activity()
    for second in range(10_000):
        activity.record(1, float(second))
    assert activity.seconds(9_999.0) == [1] * limits.ACTIVITY_S
    assert len(activity._seconds) == limits.ACTIVITY_S
