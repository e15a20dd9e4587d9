"""The adapters by name."""

from __future__ import annotations

import difflib

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.adapter import Adapter
from mw_pipeline.sources.ban import Ban
from mw_pipeline.sources.builtin import Builtin
from mw_pipeline.sources.geonames import Geonames
from mw_pipeline.sources.geonames_postal import GeonamesPostal
from mw_pipeline.sources.openaddresses import Openaddresses
from mw_pipeline.sources.state_ia_contractors import StateIaContractors
from mw_pipeline.sources.state_ny_notaries import StateNyNotaries
from mw_pipeline.sources.state_tx_notaries import StateTxNotaries
from mw_pipeline.sources.tiger import Tiger
from mw_pipeline.sources.usaddress_xml import UsaddressXml
from mw_pipeline.sources.usgov_hrsa_fqhc import UsgovHrsaFqhc
from mw_pipeline.sources.usgov_imls_pls import UsgovImlsPls
from mw_pipeline.sources.usgov_irs_bmf import UsgovIrsBmf
from mw_pipeline.sources.usgov_nad import UsgovNad
from mw_pipeline.sources.usgov_nppes import UsgovNppes
from mw_pipeline.sources.whosonfirst import WofAdmin, WofPostalcode

_ALL: tuple[Adapter, ...] = (
    Ban(),
    Builtin(),
    Geonames(),
    GeonamesPostal(),
    Openaddresses(),
    StateIaContractors(),
    StateNyNotaries(),
    StateTxNotaries(),
    Tiger(),
    UsaddressXml(),
    UsgovHrsaFqhc(),
    UsgovImlsPls(),
    UsgovIrsBmf(),
    UsgovNad(),
    UsgovNppes(),
    WofAdmin(),
    WofPostalcode(),
)

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in _ALL}


def get_adapter(name: str) -> Adapter:
    """The adapter of that name. Raises CorpusError that names the nearest one."""
    if name in ADAPTERS:
        return ADAPTERS[name]
    near = difflib.get_close_matches(name, ADAPTERS, n=1, cutoff=0.0)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise CorpusError(f"{name!r} is not an adapter: there are {', '.join(sorted(ADAPTERS))}{hint}")
