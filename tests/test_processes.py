"""Training in several processes that torchrun starts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from toy_run import build_toy, rows, toy_plan, toy_recipe

from mw_pipeline.errors import UnfinishedError
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.model.losses import Extent
from mw_pipeline.train.loop import Run, train
from mw_pipeline.train.processes import PeerLostError, Processes, sums_on_gpus


def test_a_single_process_talks_to_nobody():
    alone = Processes.join(1, device=torch.device("cpu"), asked="auto")
    values = torch.tensor([1.0, 2.0])

    assert alone.writes and alone.total(Extent(1, 2, 3)) == Extent(1, 2, 3)
    assert torch.equal(alone.sum_values(values), values)
    assert alone.any(True, False) == [True, False]
    assert alone.largest(3) == 3 and alone.sum_hash(2**64 + 5) == 5


def test_gpus_add_up_among_themselves_where_each_process_has_its_own(monkeypatch):
    """Written without a GPU: who is asked to add up, not that it does."""
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: True)
    for rank in ("0", "1"):  # whoever asks: of two that disagree one would wait for NCCL and one for gloo
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert sums_on_gpus(torch.device("cuda", int(rank)), asked="auto")
        assert sums_on_gpus(torch.device("cuda", int(rank)), asked="cuda")
        assert not sums_on_gpus(torch.device("cuda", 0), asked="cuda:0")  # NCCL refuses to share it
        assert not sums_on_gpus(torch.device("cpu"), asked="auto")
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: False)
    assert not sums_on_gpus(torch.device("cuda", 1), asked="cuda")


MEMBER = """
import os, sys
import torch
import torch.distributed as dist
from mw_pipeline.train.processes import PeerLostError, Processes

try:
    with Processes.join(2, device=torch.device("cpu"), asked="auto") as processes:
        processes.wait()
        if os.environ["RANK"] == os.environ["DIES"]:
            os._exit(9)
        for _ in range(3 if os.environ["DIES"] == "" else 1000):
            processes.sum_values(torch.ones(1000))
except PeerLostError:
    sys.stderr.write("the peer is gone\\n")
    sys.exit(3 if not dist.is_initialized() else 4)
sys.exit(0 if not dist.is_initialized() else 4)
"""


@pytest.mark.parametrize(("dies", "codes"), [("1", [3, 9]), ("0", [9, 3]), ("", [0, 0])])
def test_whoever_loses_its_peer_ends_with_its_own_code_and_leaves_no_group_behind(dies, codes):
    """With a group that is left open, threads of it may end the survivor by an abort."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    members = [
        subprocess.Popen(
            [sys.executable, "-c", MEMBER],
            env=os.environ | group | {"RANK": str(rank), "DIES": dies, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [member.communicate(timeout=240)[1] for member in members]

    assert [member.returncode for member in members] == codes, said
    own = [text.replace("the peer is gone\n", "") for text in said]
    assert not any("Traceback" in text or "terminate called" in text for text in own), said
    assert [text != rest for text, rest in zip(said, own, strict=True)] == [code == 3 for code in codes]


@pytest.mark.parametrize("on_gpus", [False, True])
def test_a_lost_process_leaves_the_last_step_where_its_sums_are_known_and_else_the_last_checkpoint(
    toy, tmp_path, monkeypatch, on_gpus
):
    def lose(self: Processes, extent: Extent) -> Extent:
        calls.append(extent)
        if len(calls) == 37:
            raise PeerLostError("connection closed")
        return extent

    calls: list[Extent] = []
    monkeypatch.setattr(Processes, "total", lose)
    changes = {"train": {"log_every": 10, "checkpoint_every": 15, "eval_every": 60}}
    run = Run(
        toy_plan(toy, tmp_path, recipe=toy_recipe(**changes)),
        torch.device("cpu"),
        Processes(0, 1, sums_on_gpus=on_gpus),
        lambda event: None,
    )

    with pytest.raises(UnfinishedError, match=r"is gone .* cannot be trusted") if on_gpus else nullcontext():
        result = run.go(threading.Event())
        assert (result.status, result.step) == ("INTERRUPTED", 36)
    assert load_checkpoint(tmp_path / "last").step == (30 if on_gpus else 36)


@pytest.mark.slow
def test_two_processes_train_what_one_trains_by_accumulation(tmp_path):
    """The same 2 × 8 rows a step, added up by gloo in one case and by the loop in the other."""
    toy = build_toy(tmp_path)
    same = {"steps": 30, "batch_size": 8, "eval_every": 10}
    two = {"model": {"dropout": 0.0}, "train": {**same, "processes": 2}}
    one = {"model": {"dropout": 0.0}, "train": {**same, "accumulation": 2}}
    script = Path(__file__).with_name("toy_run.py")
    request = {
        "dataset": str(toy.dataset),
        "tokenizer": str(toy.tokenizer),
        "out": str(tmp_path / "two"),
        "changes": two,
    }
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

    child = subprocess.run(
        [*launcher, str(script), json.dumps(request)],
        env=os.environ | {"PYTHONPATH": str(script.parent.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    train(toy_plan(toy, tmp_path / "one", recipe=toy_recipe(**one)))

    assert child.returncode == 0, child.stderr
    assert "COMPLETED" in child.stdout
    rows = {
        name: [json.loads(line) for line in (tmp_path / name / "steps.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    }
    assert len(rows["one"]) == len(rows["two"]) == 30
    assert [row["tokens"] for row in rows["one"]] == [row["tokens"] for row in rows["two"]]
    for ours, theirs in zip(rows["one"], rows["two"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=2e-3)
    weights = load_checkpoint(tmp_path / "one" / "last").tagger.state_dict()
    for name, value in load_checkpoint(tmp_path / "two" / "last").tagger.state_dict().items():
        torch.testing.assert_close(value, weights[name], atol=2e-2, rtol=1e-2)


def test_what_is_shared_out_comes_together_in_its_order(monkeypatch):
    """Seven things among three processes, each of which hands in what it made of its own."""
    items = list("abcdefg")
    shares = [Processes(rank, 3).share(items) for rank in range(3)]

    def gather(parts: list[list[str]], own: list[str]) -> None:
        assert own == [item.upper() for item in shares[1]]
        parts[:] = [[item.upper() for item in share] for share in shares]

    monkeypatch.setattr("torch.distributed.all_gather_object", gather)
    assert Processes(1, 3).together([item.upper() for item in shares[1]]) == list("ABCDEFG")
    assert Processes(0, 1).together(Processes(0, 1).share(items)) == items


def test_an_evaluation_that_loses_a_process_is_made_by_the_one_that_writes(toy, tmp_path, monkeypatch):
    def lose(self: Processes, own: list[object]) -> list[object]:
        if self.count > 1:
            raise PeerLostError("connection closed")
        return own

    monkeypatch.setattr(Processes, "together", lose)
    recipe = toy_recipe(train={"steps": 20, "eval_every": 10, "accumulation": 2})
    run = Run(toy_plan(toy, tmp_path, recipe=recipe), torch.device("cpu"), Processes(0, 1), lambda event: None)
    run.open()
    run.processes = Processes(0, 2)
    for _ in range(9):
        run.advance()
    with pytest.raises(PeerLostError):
        run.advance()

    (row,) = rows(tmp_path / "evals.jsonl")
    assert row["step"] == 10
    assert row["pieces"] == sum(int(batch.attention_mask.sum()) for batch in run.data.validation)
    assert load_checkpoint(tmp_path / "best").step == 10
