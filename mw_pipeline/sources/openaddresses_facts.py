"""What OpenAddresses says about a file rather than in it: country, state, licence and whether rows are share-alike.

The rows of an OpenAddresses file carry no licence. It stands in the source description (`sources/us/ca/alameda.json` of
their repository), which is read when it lies beside the data under the same name (`alameda.json` beside
`alameda.csv.gz`). The country and the state come from there or from the folders (`us/ca/alameda.csv`), which an archive
of collected files has within. The upstream keeps its share-alike sources in collections of their own, whose names end
in `-sa`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from mw_pipeline.areas import fr_departements, us_states
from mw_pipeline.countries import COUNTRY_CODES, TERRITORIES
from mw_pipeline.errors import CorpusError
from mw_pipeline.licences import asks_to_share_alike
from mw_pipeline.records.tables import RawFile, ReadRequest

UNKNOWN_LICENCE = "unknown (OpenAddresses source)"


@dataclass(frozen=True)
class FileFacts:
    """Facts that hold for every row of one file; `state` is a two-letter US code or None.

    `credit` is the attribution that the description asks for, empty where it asks for none."""

    country: str
    state: str | None
    licence: str
    credit: str = ""


def facts_of(file: RawFile, request: ReadRequest, member: str | None = None) -> FileFacts:
    """The facts of a file, or of one member of an archive, by its path in there. A stated country outranks the
    description, which outranks the folders, of which those of the member come first.

    Raises CorpusError when nothing tells the country, when the description is not readable, and when it says
    share-alike and the request does not allow that.
    """
    description = _description(file.path)
    coverage = description.get("coverage", {})
    stated = _stated_licence(description)
    licence, share_alike = _licence(stated)
    collected_to_share_alike = file.path.name.split(".", 1)[0].endswith("-sa")
    if (share_alike or collected_to_share_alike) and not request.share_alike_allowed:
        raise CorpusError(
            f"{file.path}: its {'name' if collected_to_share_alike else 'source description'} says share-alike "
            f"({licence or 'no licence name'}). "
            "Set share_alike_allowed = true for the source, or leave the file out."
        )
    folder_country, folder_state = _from_folders(file.path.resolve())
    if member is not None and (within := _from_folders(PurePath("/", member)))[0] is not None:
        folder_country, folder_state = within
    country = request.country or _code(coverage, "country") or folder_country
    if country not in COUNTRY_CODES:
        raise CorpusError(
            f"{file.path}{'' if member is None else f': {member}'}: nothing says its country, neither the folders "
            "(us/ca/…) nor a source description beside it. "
            "Give --country, or `country` in the corpus spec."
        )
    territory, country = (country, TERRITORIES[country]) if country in TERRITORIES else (None, country)
    state = territory or _code(coverage, "state") or folder_state
    known_state = state if country == "US" and state in us_states() else None
    return FileFacts(country, known_state, licence or request.licence or UNKNOWN_LICENCE, _credit(stated))


def credit_of(file: RawFile) -> str:
    """Whom the description beside a file asks to name; empty where it names nobody."""
    return _credit(_stated_licence(_description(file.path)))


def companion_description(path: Path) -> Path | None:
    """The file that describes a data file, where there is one: `alameda.json` for `alameda.csv.gz`."""
    companion = path.with_name(path.name.split(".", 1)[0] + ".json")
    return companion if companion != path and companion.is_file() else None


def _description(path: Path) -> dict[str, Any]:
    """The source description beside a data file; empty when there is none."""
    companion = companion_description(path)
    if companion is None:
        return {}
    try:
        found = json.loads(companion.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{companion}: not readable as JSON: {error}. Correct the source description.") from None
    if not isinstance(found, dict) or not isinstance(found.get("coverage", {}), dict):
        raise CorpusError(f"{companion}: not an OpenAddresses source description: no `coverage` table. Correct it.")
    return found


def _stated_licence(description: dict[str, Any]) -> Any:
    """What the address layer (schema 2) or the whole source (schema 1) says under `license`."""
    layers = description.get("layers")
    addresses = layers.get("addresses") if isinstance(layers, dict) else None
    layer = (
        addresses[0] if isinstance(addresses, list) and addresses and isinstance(addresses[0], dict) else description
    )
    return layer.get("license")


def _licence(stated: Any) -> tuple[str | None, bool]:
    """Name of a stated licence, and whether it is share-alike: by its flag, or by its name."""
    if not isinstance(stated, dict):
        return (str(stated), asks_to_share_alike(str(stated))) if stated else (None, False)
    name = stated.get("text") or stated.get("url")
    return str(name) if name else None, stated.get("share-alike") is True or asks_to_share_alike(str(name))


def _credit(stated: Any) -> str:
    name = stated.get("attribution name") if isinstance(stated, dict) else None
    return name.strip() if isinstance(name, str) else ""


def _code(coverage: dict[str, Any], key: str) -> str | None:
    value = coverage.get(key)
    return value.upper() if isinstance(value, str) else None


def _from_folders(path: PurePath) -> tuple[str | None, str | None]:
    """(country, US state) from the folders of a file: "us/ca/x.csv", "us/x.csv" or "fr/34/x.csv"."""
    parent, grandparent = [*(folder.name.upper() for folder in path.parents), "", ""][:2]
    if grandparent == "US" and parent in us_states():
        return "US", parent
    if grandparent == "FR" and parent in fr_departements():
        return "FR", None
    return (parent, None) if parent in COUNTRY_CODES else (None, None)
