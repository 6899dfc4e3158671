"""What the gateway put on record, beside what the fake provider really did."""

from __future__ import annotations

from holdfast.gateway.port import Served
from tests.fake_upstream.process import FakeUpstream
from tests.fake_upstream.truth import Request

from .conftest import Site


def billed_exactly(served: Served, request: Request) -> None:
    """The provider said what it bills, and so does the record: nothing more, nothing less."""
    assert served.estimated is None and served.billed
    counts = [one.counts for one in served.billed]
    assert sum(one.total_input for one in served.billed) == request.input + request.cached + request.written, counts
    assert sum(one.total_output for one in served.billed) == request.generated + request.reasoning, counts
    assert all(one.model == request.served and one.reported for one in served.billed)


def costs_nothing(served: Served) -> None:
    """Nothing was produced."""
    assert served.estimated is None and not served.billed


async def whole_bill(site: Site, fake: FakeUpstream, attempts: int) -> list[Served]:
    """Every attempt on record was asked for, in its order, and those that the provider reported whole are billed so."""
    settled = await site.meter.all_settled(attempts)
    stats = fake.stats(ended=attempts)
    assert len(settled) == len(stats.requests) == attempts
    assert [one.id for one in site.meter.opened] == [one.id for one in settled]
    for served, request in zip(settled, stats.requests, strict=True):
        if request.outcome == "refused":
            assert served.outcome == "refused" and served.reason == f"http {request.status}"
            costs_nothing(served)
        elif request.outcome == "done" and request.reported:
            billed_exactly(served, request)
    return settled
