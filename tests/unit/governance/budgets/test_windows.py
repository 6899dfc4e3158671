"""Windows of budgets: in their own time zone, on days of every length."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.governance.budgets.model import SPANS, Budget, Span
from holdfast.governance.budgets.windows import bucket_of, bucket_width_ms, reopens_ms, window_of

UTC = ZoneInfo("UTC")
HOUR = 3_600_000


def budget(span: Span, zone: str = "", rolling_s: int = 0) -> Budget:
    return Budget(id="b1", name="b", span=span, zone=zone, rolling_s=rolling_s, cap_nano=1)


def at(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp()) * 1_000


def test_a_month_of_tokyo_turns_over_at_its_own_midnight() -> None:
    window = window_of(budget("month", "Asia/Tokyo"), at("2026-07-31T23:59:59+09:00"), UTC)
    assert window.closes_ms == at("2026-08-01T00:00:00+09:00")
    assert window_of(budget("month", "Asia/Tokyo"), at("2026-08-01T00:00:00+09:00"), UTC).opens_ms == window.closes_ms


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23), ("2026-10-25", "Europe/Berlin", 25), ("2026-06-01", "Europe/Berlin", 24),
        ("2026-03-08", "America/New_York", 23), ("2026-11-01", "America/New_York", 25),
        ("2024-03-31", "Asia/Beirut", 23),  # the clock skips midnight itself
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
    ],
)  # fmt: skip
def test_a_day_has_the_hours_that_it_has(day: str, zone: str, hours: float) -> None:
    noon = int(datetime.datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000
    window = window_of(budget("day", zone), noon, UTC)
    assert window.closes_ms is not None and window.closes_ms - window.opens_ms == hours * HOUR
    assert window_of(budget("day", zone), window.opens_ms, UTC) == window
    assert window_of(budget("day", zone), window.closes_ms - 1, UTC) == window


def test_weeks_begin_on_monday_and_quarters_in_january() -> None:
    noon = at("2026-11-29T12:00:00+00:00")
    assert window_of(budget("week"), noon, UTC) == (at("2026-11-23T00:00:00+00:00"), at("2026-11-30T00:00:00+00:00"))
    assert window_of(budget("quarter"), noon, UTC) == (at("2026-10-01T00:00:00+00:00"), at("2027-01-01T00:00:00+00:00"))
    assert window_of(budget("year"), noon, UTC) == (at("2026-01-01T00:00:00+00:00"), at("2027-01-01T00:00:00+00:00"))


def test_without_a_zone_it_is_the_organisation_s() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    assert window_of(budget("day"), at("2026-07-31T16:00:00+00:00"), tokyo).opens_ms == at("2026-08-01T00:00:00+09:00")


@given(
    st.sampled_from([span for span in SPANS if span not in ("rolling", "total")]),
    st.sampled_from(
        ["Asia/Tokyo", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
    ),
    st.integers(at("1995-01-01T00:00:00+00:00"), at("2040-01-01T00:00:00+00:00")),
)
def test_every_instant_lies_in_one_window_and_the_next_begins_where_it_ends(span: Span, zone: str, ms: int) -> None:
    one = budget(span, zone)
    window = window_of(one, ms, UTC)
    assert window.closes_ms is not None and window.opens_ms <= ms < window.closes_ms
    assert window_of(one, window.closes_ms, UTC).opens_ms == window.closes_ms
    assert bucket_of(one, ms, UTC) == window.opens_ms
    assert reopens_ms(one, window, ms, None) == window.closes_ms


@given(st.integers(60, 40 * 86_400), st.integers(10**12, 2 * 10**12), st.integers(0, 10**9))
def test_what_a_rolling_window_has_let_go_was_longer_ago(rolling_s: int, now: int, age: int) -> None:
    one = budget("rolling", rolling_s=rolling_s)
    counted = bucket_of(one, now - age, UTC) >= window_of(one, now, UTC).opens_ms
    assert counted or age > rolling_s * 1_000, "too little would be taken for spent"
    if age > rolling_s * 1_000 + bucket_width_ms(one):
        assert not counted


def test_a_total_never_reopens() -> None:
    assert reopens_ms(budget("total"), window_of(budget("total"), 5, UTC), 5, None) is None
