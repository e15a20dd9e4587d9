"""A recipe of several processes starts them itself, and ends as a single one would."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from test_ranks import CHANGES
from toy_run import Toy, rows, toy_plan, toy_recipe

from mw_pipeline.errors import ArtifactError, UnfinishedError
from mw_pipeline.failures import cure_of_error
from mw_pipeline.train.loop import train
from mw_pipeline.train.ranks import train_in_ranks
from mw_pipeline.verdict.evidence import Evidence
from mw_pipeline.verdict.run_checks import BLOCKING, WARNING

pytestmark = pytest.mark.slow


def owner_once_at(out: Path, step: int) -> int:
    """The process that writes a run, as soon as its log has a step."""
    limit = time.monotonic() + 120
    while not (out / "steps.jsonl").is_file() or (out / "steps.jsonl").read_bytes().count(b"\n") < step:
        assert time.monotonic() < limit, "it never came to that step"
        time.sleep(0.01)
    return int(json.loads((out / "run.json").read_text())["owner"].split()[1])


def test_a_run_of_two_processes_starts_both_and_tells_what_it_comes_to(toy: Toy, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []

    result = train_in_ranks(toy_plan(toy, tmp_path / "run", recipe=toy_recipe(**CHANGES)), on_event=events.append)

    assert (result.status, result.step, result.out) == ("COMPLETED", 100, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["ranks"] == 2
    assert events[0]["event"] == "started" and events[-1]["event"] == "ended"
    assert len(rows(tmp_path / "run" / "steps.jsonl")) == 100


def test_an_error_of_the_processes_is_the_error_of_the_run(toy: Toy, tmp_path: Path) -> None:
    plan = toy_plan(toy, tmp_path / "run", recipe=toy_recipe(**CHANGES), resume_from=tmp_path / "nowhere")

    with pytest.raises(ArtifactError, match="nowhere"):
        train_in_ranks(plan)


def test_the_death_of_the_process_that_writes_is_cured_by_a_retry(toy: Toy, tmp_path: Path) -> None:
    plan = toy_plan(toy, tmp_path / "run", recipe=toy_recipe(**CHANGES))
    killer = threading.Thread(target=lambda: os.kill(owner_once_at(plan.out, 40), signal.SIGKILL))
    killer.start()

    with pytest.raises(UnfinishedError, match=r"died before it could say why .* it goes on from its last") as died:
        train_in_ranks(plan)
    killer.join()

    assert cure_of_error(died.value) == "retry"
    again = train_in_ranks(plan)
    assert again.status == "COMPLETED" and again.resumed_from_step is not None and again.resumed_from_step >= 30


def test_a_run_that_goes_on_in_another_number_of_processes_is_remarked_on_and_not_condemned(
    toy: Toy, tmp_path: Path
) -> None:
    # M80
    plan = toy_plan(toy, tmp_path / "run", recipe=toy_recipe(**CHANGES))
    killer = threading.Thread(target=lambda: os.kill(owner_once_at(plan.out, 40), signal.SIGKILL))
    killer.start()
    with pytest.raises(UnfinishedError):
        train_in_ranks(plan)
    killer.join()

    result = train(plan)

    evidence = Evidence.read(plan.out)
    assert result.status == "COMPLETED" and evidence.discarded
    assert [name for name, check in BLOCKING.items() if check(evidence)] == []
    (remark,) = WARNING["run_stayed_on_one_machine"](evidence)
    assert remark == (
        f"the run was resumed at step {result.resumed_from_step} under another ranks: 2, 1: the same to within 1e-3"
    )


def test_a_signal_to_the_run_saves_and_interrupts_all_of_it_without_a_word_of_torchrun(
    toy: Toy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = toy_plan(toy, tmp_path / "run", recipe=toy_recipe(**CHANGES))

    def stop() -> None:
        owner_once_at(plan.out, 20)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    result = train_in_ranks(plan)

    assert result.status == "INTERRUPTED" and 20 <= result.step < 100
    assert capfd.readouterr().err == ""
    assert train_in_ranks(plan).resumed_from_step == result.step
