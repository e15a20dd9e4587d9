"""The judgement on gold files: every row that can be read, and everything that is wrong with any, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.golden.gold import CONVENTIONS_HASH, GoldenSet, demand_manifest
from mw_pipeline.golden.rows import ROW_KEYS, GoldenRow, GoldError, row_of, text_lines, value_of
from mw_pipeline.golden.rules import Finding, finding_of_error, finding_of_unknown_keys
from mw_pipeline.labels import STAGE3_TAGS


@dataclass(frozen=True)
class Judgement:
    """The gold rows of some files, and the findings: lines that are no row first, then what the rows break."""

    golden: GoldenSet
    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings for which the gold is invalid."""
        return tuple(finding for finding in self.findings if finding.blocks)

    def as_json(self) -> dict[str, JSON]:
        """Hashes, counts and ceilings, and every finding with its file and line."""
        return {
            "hash": self.golden.hash,
            "conventions": CONVENTIONS_HASH,
            "counts": self.golden.counts(),
            "ceilings": self.golden.ceilings(STAGE3_TAGS),
            "blocking": len(self.blocking),
            "rules": dict(sorted(Counter(finding.rule for finding in self.findings).items())),
            "findings": [finding.as_json() for finding in self.findings],
        }


def judge_golden(paths: Sequence[Path], *, below: Path | None = None) -> Judgement:
    """Rows and findings of all files, in the order given; files below a folder are named as they lie in it, so that
    equal files give equal findings on every machine.

    A line that cannot be read, an empty file and a manifest that disagrees are findings like any other; keys that no
    row has are one remark for each file. Raises CorpusError for a file that is no text in UTF-8."""
    rows: list[GoldenRow] = []
    found: list[Finding] = []
    remarks: list[Finding] = []
    for path in paths:
        unknown: Counter[str] = Counter()
        lines = text_lines(path)
        shown = path.relative_to(below) if below and path.is_relative_to(below) else path
        if not lines:
            problem, remedy = "holds no row", "Add rows as JSON lines, or leave the file out."
            found.append(Finding(str(shown), "empty_file", path.name, problem, remedy, blocks=True))
        for number, line in lines:
            where = f"{shown}:{number}"
            try:
                value = value_of(line, where=where)
                rows.append(row_of(value, where=where, stratum=path.stem))
            except GoldError as error:
                found.append(finding_of_error(error))
            else:
                unknown.update(key for key in value if key not in ROW_KEYS)
        remarks += [finding_of_unknown_keys(str(shown), unknown)] if unknown else []
    if not found:  # counts of files that cannot be read to the end would differ for that reason alone
        found += _manifest_findings(paths, below=below)
    golden = GoldenSet(tuple(rows))
    return Judgement(golden, (*found, *remarks, *golden.findings))


def _manifest_findings(paths: Sequence[Path], *, below: Path | None) -> list[Finding]:
    found = []
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            demand_manifest(folder, [path for path in paths if path.parent == folder], below=below)
        except GoldError as error:
            found.append(finding_of_error(error))
    return found
