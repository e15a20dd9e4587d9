"""Gold: hand-checked rows that scores are measured on, read, validated and hashed.

A gold file holds JSON lines `{"raw", "components": {tag: value}, "country", "source", "notes"}` and optionally
`base_id` (the family: rows of one real place) and `stratum`. Values are written as they stand in `raw`; docs/labels.md
has the conventions of every tag. A `manifest.json` beside the files says what each should hold; after a change of gold
`mw-pipeline golden --write-manifest FOLDER` writes it anew.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mw_pipeline.digest import JSON, digest_of, json_value, sha256_file, write_json_atomically
from mw_pipeline.errors import CorpusError
from mw_pipeline.golden.rows import GoldenRow, GoldError, json_lines, row_of
from mw_pipeline.golden.rules import Finding, findings_of
from mw_pipeline.labels import STAGE3_TAGS
from mw_pipeline.metrics.matching import POLICIES
from mw_pipeline.metrics.scores import ceiling

CONVENTIONS = (
    "values as written, edges trimmed to letters and digits, one per tag; the highest written area below the country "
    "is region and a second one subregion; a borough, arrondissement or neighbourhood beside its city is "
    "dependent_locality; street without number, directionals and type included; unit and po_box with their designator; "
    "venue is whoever or whatever the address is of, place, company or person, with c/o and attn inside; the streets "
    "of a crossing are intersection_a and intersection_b"
)
CONVENTIONS_HASH = digest_of([CONVENTIONS, list(STAGE3_TAGS)])
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class GoldenSet:
    """Gold rows with everything that is known of them; every count and hash is computed from the rows (M50).

    `tags` are those that the labels are complete for, None for all: a prediction of another is no error here."""

    rows: tuple[GoldenRow, ...]
    tags: tuple[str, ...] | None = None

    @cached_property
    def hash(self) -> str:
        """SHA-256 over what decides a score: texts, values, families, strata and complete tags, in any order."""
        content = [[r.raw, dict(r.components), r.country, r.family, r.stratum] for r in self.rows]
        complete = [] if self.tags is None else [sorted(self.tags)]
        return digest_of([CONVENTIONS_HASH, sorted(content, key=digest_of), *complete])

    def scored(self, tags: Sequence[str]) -> tuple[str, ...]:
        """Those of the tags that the labels are complete for, in their order: what is scored on this gold."""
        return tuple(tag for tag in tags if self.tags is None or tag in self.tags)

    def beyond(self, tags: Sequence[str]) -> tuple[str, ...]:
        """The tags that the labels are complete for and that an answer in these tags cannot have."""
        return tuple(tag for tag in self.scored(STAGE3_TAGS) if tag not in tags)

    def only(self, country: str) -> GoldenSet:
        """The rows of one country."""
        return GoldenSet(tuple(row for row in self.rows if row.country == country), self.tags)

    @property
    def families(self) -> frozenset[str]:
        """The names of all families."""
        return frozenset(row.family for row in self.rows)

    @property
    def raws(self) -> list[str]:
        """The texts, in row order."""
        return [row.raw for row in self.rows]

    @property
    def components(self) -> list[Mapping[str, str]]:
        """The gold values, in row order."""
        return [row.components for row in self.rows]

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that breaks a rule."""
        return findings_of(self.rows)

    def counts(self) -> dict[str, JSON]:
        """Rows and families, and rows by country, stratum and tag."""
        return {
            "rows": len(self.rows),
            "families": len(self.families),
            "country": _sorted_counts(row.country for row in self.rows),
            "stratum": _sorted_counts(row.stratum for row in self.rows),
            "tag": _sorted_counts(tag for row in self.rows for tag in row.components),
        }

    def ceilings(self, tags: Sequence[str], *, beyond: Sequence[str] = ()) -> dict[str, JSON]:
        """What the best span extractor could score on these tags, per match policy (M48), without those `beyond`."""
        found = {"tags": tags, "beyond": beyond}
        return {policy: ceiling(self.components, self.raws, policy=policy, **found) for policy in POLICIES}

    def as_jsonl(self) -> str:
        """The rows as a gold file that loads to an equal hash."""
        return "".join(json.dumps(_as_json(row), ensure_ascii=False) + "\n" for row in self.rows)


def _sorted_counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _as_json(row: GoldenRow) -> dict[str, JSON]:
    fields = dataclasses.asdict(row)
    return {"base_id" if key == "family" else key: value for key, value in fields.items() if key != "where"}


def load_golden(paths: Sequence[Path], *, tags: Sequence[str] | None = None) -> GoldenSet:
    """The rows of all files, in the order given, and the tags that their labels are complete for (None: all).

    Raises CorpusError for a file or row that is not gold at all, and when a manifest beside a file disagrees with it.
    What is gold but breaks a convention is in `findings`."""
    rows = [row for path in paths for row in _read_file(path)]
    if not rows:
        raise CorpusError(f"{', '.join(map(str, paths)) or 'no file'}: holds no gold row. Name a file with JSON lines.")
    for folder in dict.fromkeys(path.parent for path in paths):
        demand_manifest(folder, [path for path in paths if path.parent == folder])
    return GoldenSet(tuple(rows), None if tags is None else tuple(tags))


def _read_file(path: Path) -> list[GoldenRow]:
    return [row_of(value, where=f"{path}:{line}", stratum=path.stem) for line, value in json_lines(path)]


def write_manifest(folder: Path) -> Path:
    """Writes `manifest.json` over all gold files of a folder, so that a change of gold is a change someone made."""
    entries = {path.name: _entry(path) for path in sorted(folder.glob("*.jsonl"))}
    write_json_atomically(folder / MANIFEST, {"conventions": CONVENTIONS_HASH, "files": entries})
    return folder / MANIFEST


def _entry(path: Path) -> dict[str, JSON]:
    return {"sha256": sha256_file(path), **GoldenSet(tuple(_read_file(path))).counts()}


def manifests_of(paths: Sequence[Path]) -> list[Path]:
    """The manifests that lie beside these gold files, in their order, each once."""
    folders = dict.fromkeys(path.parent for path in paths)
    return [folder / MANIFEST for folder in folders if (folder / MANIFEST).is_file()]


def demand_manifest(folder: Path, paths: Sequence[Path], *, below: Path | None = None) -> None:
    """Counts and hashes of every listed file are those of the file itself, and the conventions are today's (M50).

    Files not listed are not looked at. Raises GoldError with the first difference; it names a folder `below` another
    as it lies in it."""
    path = folder / MANIFEST
    if not path.is_file():
        return
    shown = folder.relative_to(below) if below and folder.is_relative_to(below) else folder
    try:
        manifest = json_value(path.read_text(encoding="utf-8"))
        conventions, listed = manifest["conventions"], {name: dict(entry) for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _stale(shown, "no manifest", f"not a manifest of gold files ({error!r})") from None
    if conventions != CONVENTIONS_HASH:
        older = repr(conventions)[:13]
        raise _stale(shown, older, f"written under conventions {older}…, today's are {CONVENTIONS_HASH[:12]!r}…")
    for gold in paths:
        claimed, found = listed.get(gold.name), _entry(gold)
        key = next((key for key in ("rows", *found) if claimed and claimed.get(key) != found[key]), None)
        if claimed and key:
            problem = f"says {key} {claimed.get(key)!r} for {gold.name}, found {found[key]!r}"
            raise _stale(shown, f"{gold.name}: {key}", problem)


def _stale(folder: Path, value: str, problem: str) -> GoldError:
    remedy = f"Review the change of gold, then run `mw-pipeline golden --write-manifest {folder}`."
    return GoldError(str(folder / MANIFEST), "stale_manifest", value, problem, remedy)
