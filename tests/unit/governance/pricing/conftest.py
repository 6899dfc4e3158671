"""A book of the bundled catalogue, made once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.governance.pricing.book import PriceBook
from holdfast.governance.pricing.catalogue import Catalogue
from holdfast.governance.pricing.model import Priced
from holdfast.governance.pricing.source import bundled
from holdfast.providers.billing.model import BilledAttempt
from tests.unit.governance.pricing.usages import NOW

Pricer = Callable[..., Priced]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue(bundled())


@pytest.fixture(scope="session")
def book(catalogue: Catalogue) -> PriceBook:
    return PriceBook(catalogue)


@pytest.fixture(scope="session")
def priced(book: PriceBook) -> Pricer:
    """Price counts of a model at the bundled catalogue: ``priced("openai", "gpt-5", {"input": 1})``."""

    def price(provider: str, model: str, counts: dict[str, int], *, at_ms: int = NOW, **more: str) -> Priced:
        billed = BilledAttempt(model=model, counts=counts, **more)  # type: ignore[arg-type]
        return book.price(billed, provider=provider, upstream="plain", asked="asked-for", at_ms=at_ms)

    return price
