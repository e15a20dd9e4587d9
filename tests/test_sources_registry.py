"""Adapters are found by name, and say who made their rows and on what terms."""

from __future__ import annotations

import pytest

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.registry import ADAPTERS, get_adapter


def test_an_unknown_adapter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(CorpusError, match=r"'geoname-postal' is not an adapter: .*did you mean 'geonames-postal'\?"):
        get_adapter("geoname-postal")


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_adapter_is_found_under_its_own_name_and_states_its_terms(name: str) -> None:
    adapter = get_adapter(name)

    assert adapter.name == name
    assert adapter.licence
    assert adapter.attribution
