"""`audit`, `weigh`, `train` and `package` on a tiny project: exit codes, and JSON alone on stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_project import add_source_without_training_rows, change, edit_json, rewrite

from mw_pipeline.cli import main
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow


class CommandLine:
    """Runs commands in a project: each returns (exit code, the JSON on stdout if any, stderr)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, place: Place, *arguments: str | Path) -> tuple[int, Any, str]:
        for name, folder in (("PROJECT", place.project), ("STORE", place.store.url), ("DATA", place.data)):
            self.monkeypatch.setenv(f"MW_{name}", str(folder))
        code = main([str(argument) for argument in arguments])
        said = self.capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_a_smoke_and_the_full_run_behind_it_are_handed_out_with_their_verdict(
    run: CommandLine, place: Place, tmp_path: Path
) -> None:
    for kind, flags in (("smoke_checkpoint", ["--smoke"]), ("full_checkpoint", [])):
        out = tmp_path / kind

        code, shown, _ = run(place, "train", "--recipe", "demo", *flags, "--out", out)

        assert code == 0
        assert (shown["kind"], shown["verdict"], shown["reused"], shown["out"]) == (kind, "pass", True, str(out))
        assert {path.name for path in out.iterdir()} >= {"best", "last", "run.json", "steps.jsonl", "evals.jsonl"}


def test_a_full_run_that_diverged_is_handed_out_with_exit_code_1(
    run: CommandLine, place: Place, tmp_path: Path
) -> None:
    rewrite(line.full_checkpoint.demand(place, place.recipe("demo")), "run.json", edit_json(status="DIVERGED"))

    code, shown, said = run(place, "train", "--recipe", "demo", "--out", tmp_path / "full")

    assert (code, shown["verdict"]) == (1, "pass")
    assert shown["findings"] == ["the run ended as 'DIVERGED' at step 240 of 240, expected 'COMPLETED'"]
    assert shown["findings"][0] in said


def test_a_failed_smoke_is_handed_out_with_exit_code_1_and_no_full_run_after_it(
    run: CommandLine, hot: Place, tmp_path: Path
) -> None:
    # M03
    code, shown, said = run(hot, "train", "--recipe", "demo", "--smoke", "--out", tmp_path / "smoke")
    assert (code, shown["verdict"]) == (1, "fail")
    assert "smoke verdict: fail: " in said

    code, shown, said = run(hot, "train", "--recipe", "demo", "--out", tmp_path / "full")
    assert (code, shown) == (1, None)
    assert said.rpartition("refused: ")[2].startswith("the full run of 'demo' may not start: its smoke is judged fail")
    assert not (tmp_path / "full").exists()


def test_a_full_run_without_a_smoke_is_refused(run: CommandLine, place: Place, tmp_path: Path) -> None:
    # M03
    change(place.project, "seed = 5", "seed = 6", file="corpora/builtin.toml")

    code, shown, said = run(place, "train", "--recipe", "demo", "--out", tmp_path / "full")

    assert (code, shown) == (1, None)
    assert "the full run of 'demo' may not start: there is no smoke of this recipe" in said


def test_a_run_to_resume_is_never_ignored(run: CommandLine, place: Place, tmp_path: Path) -> None:
    # M38
    folder = line.smoke_checkpoint.demand(place, place.recipe("demo")).path

    code, shown, said = run(
        place, "train", "--recipe", "demo", "--smoke", "--resume", folder, "--out", tmp_path / "out"
    )

    assert (code, shown) == (2, None)
    assert "cannot be resumed, as smoke_checkpoint of 'demo' has ended" in said


def test_an_unknown_recipe_is_bad_input_with_the_nearest_name(run: CommandLine, place: Place, tmp_path: Path) -> None:
    for command in (["audit"], ["train", "--out", tmp_path / "out"]):
        code, shown, said = run(place, *command, "--recipe", "deno")

        assert (code, shown) == (2, None)
        assert "did you mean 'demo'?" in said


def test_the_audit_of_a_mix_as_declared_is_its_table_and_its_page_and_exit_code_0(
    run: CommandLine, place: Place, tmp_path: Path
) -> None:
    code, shown, said = run(place, "audit", "--recipe", "demo", "--page", tmp_path / "pages" / "audit.html")

    assert (code, shown["findings"], shown["reused"]) == (0, [], False)
    assert "| builtin |" in said
    assert shown["page"] == str(tmp_path / "pages" / "audit.html")
    assert "<title>Audit of demo</title>" in Path(shown["page"]).read_text("utf-8")

    code, again, said = run(place, "audit", "--recipe", "demo", "--since", shown["audit"][:8])
    assert (code, again["since"]["digest"]) == (0, shown["audit"])
    assert again["changes"]["unchanged"] == ["builtin"]


def test_the_audit_of_a_mix_with_a_source_without_rows_names_it_with_exit_code_1(
    run: CommandLine, place: Place
) -> None:
    # M09
    add_source_without_training_rows(place.project)

    code, shown, said = run(place, "audit", "--recipe", "demo")

    assert code == 1
    assert any("ghost" in finding for finding in shown["findings"])
    assert "ghost" in said


def test_wishes_become_the_weights_that_a_recipe_can_hold(run: CommandLine, place: Place, tmp_path: Path) -> None:
    (tmp_path / "wanted.toml").write_text("[sources.builtin]\nshare = 1.0\n")

    code, shown, said = run(place, "weigh", "--recipe", "demo", "--wanted", tmp_path / "wanted.toml")

    assert (code, shown["weights"]) == (0, {"builtin": 100.0})
    assert shown["toml"] == "[mix.weights]\nbuiltin = 100.0"
    assert shown["mix"]["sources"][0]["realised_share"] == 1.0
    assert "[mix.weights]\nbuiltin = 100.0" in said


def test_wishes_that_cannot_be_met_are_bad_input(run: CommandLine, place: Place, tmp_path: Path) -> None:
    (tmp_path / "wanted.toml").write_text("[sources.builtin]\nrepetitions = 900.0\n")

    code, shown, said = run(place, "weigh", "--recipe", "demo", "--wanted", tmp_path / "wanted.toml")

    assert (code, shown) == (2, None)
    assert "sources.builtin.repetitions 900" in said


def test_an_upstream_check_that_fails_stops_the_command_by_its_name(run: CommandLine, place: Place) -> None:
    other = edit_json(licences__builtin__licences={"ODbL-1.0": 1})
    rewrite(line.corpus_manifest.demand(place, "builtin"), "census.json", other)

    code, shown, said = run(place, "audit", "--recipe", "demo")

    assert (code, shown) == (1, None)
    assert "refused: licences_are_allowed does not hold for 'builtin': " in said


def test_the_licensed_checkpoint_becomes_one_package_a_locale(run: CommandLine, place: Place, tmp_path: Path) -> None:
    checkpoint = line.full_checkpoint.demand(place, place.recipe("demo")).path
    out = tmp_path / "packages"

    code, shown, _ = run(place, "package", "--recipe", "demo", "--checkpoint", checkpoint, "--out", out)

    assert (code, shown["locales"]) == (0, ["en-us", "fr-fr"])
    assert sorted(path.name for path in out.iterdir()) == ["en-us", "fr-fr"]
    code, parsed, _ = run(place, "parse", "--package", out, "--locale", "en-us", "350 5th Ave, New York, NY 10118")
    assert (code, parsed["raw"]) == (0, "350 5th Ave, New York, NY 10118")


def test_another_checkpoint_or_a_gate_that_fails_makes_no_package(
    run: CommandLine, place: Place, tmp_path: Path
) -> None:
    recipe = place.recipe("demo")
    smoke = line.smoke_checkpoint.demand(place, recipe).path
    full = line.full_checkpoint.demand(place, recipe).path

    code, shown, said = run(place, "package", "--recipe", "demo", "--checkpoint", smoke, "--out", tmp_path / "a")
    assert (code, shown) == (1, None)
    assert "is not the best checkpoint of the full run that the verdict licensed" in said

    change(place.project, "[eval]", "[eval]\nmin_core_macro_f1 = 0.9999")
    code, shown, said = run(place, "package", "--recipe", "demo", "--checkpoint", full, "--out", tmp_path / "b")
    assert (code, shown) == (1, None)
    assert "refused: release_beats_its_gates does not hold for 'demo'" in said
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
