"""Checks of the gold: whether it can judge anything, and whether training has seen it."""

from __future__ import annotations

import json

from mw_pipeline.corpus import leaks
from mw_pipeline.digest import JSON
from mw_pipeline.report.cells import NOTHING, Table, count
from mw_pipeline.stages import line
from mw_pipeline.stages.checks.corpus import all_keys
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE
from mw_pipeline.stages.findings import Findings, found
from mw_pipeline.stages.golden import FACTS_FILE, JudgedGold, gold_texts_and_families, judged_gold
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.slices import gold_files

_SENTENCES = 5
_SHOWN_ROWS = 200


def golden_is_valid(place: Place, partition: str) -> Findings:
    """Every gold line is a row, every value can be reached in its text, and no row contradicts another."""
    artifact = line.golden_set.demand(place, partition)
    judged = judged_gold(gold_files(line.golden_set.subject(place, partition)))
    facts = judged.facts
    findings = [finding for part in (facts, *facts["sets"].values()) for finding in part.get("findings", ())]
    blocking = [finding for finding in findings if finding["blocks"]]
    problems = [f"{_row_of(f)}: {f['rule']}: {f['value']}: {f['problem']}" for f in blocking[:_SENTENCES]]
    if len(blocking) > _SENTENCES:
        problems.append(f"and {len(blocking) - _SENTENCES:,} more")
    # What the artifact says of itself is not believed (M68): its files are read and judged again.
    rows = {name: artifact.file(name).read_text(encoding="utf-8") for name in judged.golden}
    if artifact.read_json(FACTS_FILE) != json.loads(json.dumps(facts)) or rows != _as_jsonl(judged):
        problems.append(f"the gold kept in {artifact.path} is not what its files hold: delete it and build it again")
    return found(
        problems,
        f"{facts['counts']['rows']} gold rows in {facts['counts']['families']} families",
        findings=_finding_table(findings) if findings else "none",
        sets=_set_table(facts["sets"]) if facts["sets"] else "no set beside the corpus's own gold",
    )


def golden_is_not_in_train(place: Place, partition: str) -> Findings:
    """No gold row stands in training or validation, neither its text in any case and punctuation nor its family."""
    texts, families = gold_texts_and_families(line.golden_set.demand(place, partition))
    manifest = line.corpus_manifest.demand(place, partition)
    keyed = all_keys(place, partition)
    problems = leaks.golden_is_not_in_train(keyed, texts, families, manifest.file(EXCLUSIONS_FILE))
    return found(problems, f"none of {len(texts)} gold rows is in training or validation")


def _as_jsonl(judged: JudgedGold) -> dict[str, str]:
    return {name: golden.as_jsonl() for name, golden in judged.golden.items()}


def _finding_table(findings: JSON) -> str:
    """Row by row: where it stands, the value, what is wrong with it and what to do; what is invalid comes first."""
    ordered = sorted(findings, key=lambda finding: not finding["blocks"])
    rows = tuple(
        (_row_of(f), "invalid" if f["blocks"] else "remark", f["rule"], f["value"], f["problem"], f["remedy"])
        for f in ordered[:_SHOWN_ROWS]
    )
    left = len(ordered) - len(rows)
    more = f"\n\n{left:,} more are listed in golden.json." if left else ""
    return Table(("row", "is", "rule", "value", "what is wrong", "what to do"), rows).as_markdown() + more


def _set_table(sets: JSON) -> str:
    headers = ("further set", "rows", "families", "invalid", "left out")
    rows = ((name, *_set_cells(facts)) for name, facts in sets.items())
    return Table(headers, tuple(rows)).as_markdown()


def _set_cells(facts: JSON) -> tuple[str, ...]:
    if "skipped" in facts:
        return (NOTHING, NOTHING, NOTHING, facts["skipped"])
    left_out = ", ".join(f"{reason} {count(number)}" for reason, number in facts["left_out"].items()) or "none"
    counts = facts["counts"]
    return (count(counts["rows"]), count(counts["families"]), count(facts["blocking"]), left_out)


def _row_of(finding: JSON) -> str:
    return finding["file"] if finding["line"] is None else f"{finding['file']}:{finding['line']}"
