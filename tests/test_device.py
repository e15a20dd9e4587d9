"""The device that a recipe names is the one that it gets, and each kind of machine has a name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from mw_pipeline.errors import RecipeError
from mw_pipeline.train.device import device_as_asked, machine_of, width_multiple


def test_a_missing_device_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert device_as_asked("cpu") == torch.device("cpu")
    with pytest.raises(RecipeError, match=r"train.device is 'cuda' and torch finds no such device here"):
        device_as_asked("cuda")


def test_each_process_of_torchrun_has_its_own_card(monkeypatch):
    cards(monkeypatch, 2)
    monkeypatch.setenv("LOCAL_RANK", "1")

    assert device_as_asked("cuda") == device_as_asked("auto") == torch.device("cuda", 1)
    cards(monkeypatch, 1)
    with pytest.raises(RecipeError, match=r"process 1 of this machine would train on 'cuda:1', and torch finds 1 such"):
        device_as_asked("auto")


def cards(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_a_card_by_its_number_is_that_card_or_an_error_that_says_how_many_there_are(monkeypatch):
    # M80
    monkeypatch.setenv("LOCAL_RANK", "0")
    cards(monkeypatch, 2)

    assert device_as_asked("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(
        RecipeError, match=r"train.device is 'cuda:2', and torch finds 2 such devices here, numbered from 0. Name one"
    ):
        device_as_asked("cuda:2")
    cards(monkeypatch, 0)
    with pytest.raises(RecipeError, match=r"train.device is 'cuda:0' and torch finds no such device here"):
        device_as_asked("cuda:0")


def test_a_gpu_has_its_lengths_in_eights_and_a_cpu_as_they_are():
    assert width_multiple(torch.device("cuda", 1)) == 8 and width_multiple(torch.device("cpu")) == 1


def test_a_machine_is_named_by_its_processor_and_not_by_its_instructions_alone():
    # M80: two makers' processors with the same instructions round differently
    name = machine_of(torch.device("cpu"))
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*:\s*(.+?)\s*$", cpuinfo.read_text(), re.M) if cpuinfo.is_file() else []

    assert name.endswith(torch.backends.cpu.get_cpu_capability())
    assert not models or models[0] in name
