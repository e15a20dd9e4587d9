"""Checkpoints: whole or absent after any kill, and refused whenever they do not fit their reader."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import mw_pipeline.model.checkpoint
from mw_pipeline.digest import digest_of, sha256_file
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import STAGE2, STAGE3
from mw_pipeline.model.checkpoint import (
    CheckpointFacts,
    Tagger,
    load_checkpoint,
    load_optimizer_state,
    recover_checkpoint,
    save_checkpoint,
)
from mw_pipeline.recipe import ModelConfig

CONFIG = ModelConfig(width=16, layers=1, heads=2, feed_forward=32)
TOKENIZER = "a" * 64


def facts(step: int = 7, **changes) -> CheckpointFacts:
    values = {"config": CONFIG, "labels": STAGE2, "vocab_size": 30, "tokenizer_sha256": TOKENIZER, "step": step}
    return CheckpointFacts(**{**values, "digests": {"recipe": "r"}, "metrics": {"val_macro_f1": 0.5}, **changes})


def tagger(seed: int = 0) -> Tagger:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return Tagger(CONFIG, vocab_size=30, labels=STAGE2)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "last"
    save_checkpoint(path, tagger(), facts(), optimizer={"exp_avg.crf.start": torch.ones(21)})
    return path


def test_a_checkpoint_comes_back_as_it_was_saved(saved):
    found = load_checkpoint(saved, labels=STAGE2, tokenizer_sha256=TOKENIZER, config=CONFIG)

    assert found.facts == facts()
    assert (found.step, found.labels, found.path) == (7, STAGE2, saved)
    assert not found.tagger.training
    original = tagger().state_dict()
    assert set(original) == set(found.tagger.state_dict())
    assert all(torch.equal(value, original[name]) for name, value in found.tagger.state_dict().items())
    assert {name.split(".")[0] for name in original} == {"encoder", "crf", "log_variances"}
    assert found.model is found.tagger.encoder and found.crf is found.tagger.crf


def test_optimizer_state_comes_back_and_its_absence_is_told(saved, tmp_path):
    assert load_optimizer_state(saved)["exp_avg.crf.start"].tolist() == [1.0] * 21

    save_checkpoint(tmp_path / "best", tagger(), facts(), optimizer={})
    with pytest.raises(ArtifactError, match=r"keeps no optimizer.safetensors. Resume from a run's last/ checkpoint"):
        load_optimizer_state(tmp_path / "best")


def test_another_label_set_is_refused(saved):
    with pytest.raises(ArtifactError, match=r"trained on 21 labels with hash .* the reader has 33"):
        load_checkpoint(saved, labels=STAGE3)


def test_another_tokenizer_is_refused(saved):
    with pytest.raises(ArtifactError, match=r"trained with tokenizer aaaaaaaaaaaa, the reader has bbbbbbbbbbbb"):
        load_checkpoint(saved, tokenizer_sha256="b" * 64)


def test_another_geometry_is_refused_by_its_key(saved):
    with pytest.raises(ArtifactError, match=r"model.layers is 1 in the checkpoint and 2 in the recipe"):
        load_checkpoint(saved, config=CONFIG.model_copy(update={"layers": 2}))


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("where", [0, 60, -1])
def test_one_flipped_bit_is_refused(saved, name, where):
    data = bytearray((saved / name).read_bytes())
    data[where] ^= 1
    (saved / name).write_bytes(data)

    with pytest.raises(ArtifactError, match=f"{name}: its bytes are not those that checkpoint.json hashed"):
        load_checkpoint(saved)
        load_optimizer_state(saved)


def test_a_truncated_file_is_refused_with_both_sizes(saved):
    data = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(data[:1000])

    with pytest.raises(ArtifactError, match=rf"model.safetensors: has 1000 bytes, checkpoint.json says {len(data)}"):
        load_checkpoint(saved)


def test_a_missing_file_is_refused(saved):
    (saved / "model.safetensors").unlink()

    with pytest.raises(ArtifactError, match=r"model.safetensors: is missing, checkpoint.json lists it with"):
        load_checkpoint(saved)


def test_a_folder_without_facts_is_no_checkpoint(saved):
    (saved / "checkpoint.json").unlink()

    with pytest.raises(ArtifactError, match=r"has no checkpoint.json, so it is no complete checkpoint"):
        load_checkpoint(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\udcff"])
def test_unreadable_facts_are_refused(saved, text):
    (saved / "checkpoint.json").write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(ArtifactError, match=r"checkpoint.json: not readable"):
        load_checkpoint(saved)


def test_edited_facts_are_refused(saved):
    text = (saved / "checkpoint.json").read_text()
    (saved / "checkpoint.json").write_text(text.replace('"step": 7', '"step": 8'))

    with pytest.raises(ArtifactError, match=r"checkpoint.json: was edited: its hash is not"):
        load_checkpoint(saved)


def _forge(path: Path, **changes) -> None:
    """Rewrites the facts with a hash that fits them, as another version of the program might."""
    content = json.loads((path / "checkpoint.json").read_text()) | changes
    del content["sha256"]
    content["files"] = {
        name: {"bytes": (path / name).stat().st_size, "sha256": sha256_file(path / name)} for name in content["files"]
    }
    (path / "checkpoint.json").write_text(json.dumps(content | {"sha256": digest_of(content)}))


@pytest.mark.parametrize("changes", [{"config": {"width": 16}}, {"labels": ["O", "I-a"]}, {"config": None}])
def test_facts_of_another_format_are_refused(saved, changes):
    _forge(saved, **changes)

    with pytest.raises(ArtifactError, match=r"not a checkpoint of format 2"):
        load_checkpoint(saved)


def test_tensors_of_another_shape_are_refused(saved):
    _forge(saved, vocab_size=31)

    with pytest.raises(ArtifactError, match=r"tensors do not fit the model .*encoder.embedding.weight"):
        load_checkpoint(saved)


def test_bytes_that_are_no_safetensors_are_refused_even_when_their_hash_fits(saved):
    (saved / "model.safetensors").write_bytes(b"\xff" * 64)
    _forge(saved)

    with pytest.raises(ArtifactError, match=r"model.safetensors: not readable as safetensors"):
        load_checkpoint(saved)


def test_weights_with_a_nan_are_refused(tmp_path):
    broken = tagger()
    with torch.no_grad():
        broken.crf.start[3] = torch.nan
    save_checkpoint(tmp_path / "last", broken, facts(), optimizer={})

    with pytest.raises(ArtifactError, match=r"crf.start holds NaN or infinite numbers"):
        load_checkpoint(tmp_path / "last")


class _Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("moment", range(10))
def test_a_kill_at_any_moment_of_a_save_leaves_the_old_or_the_new_checkpoint(saved, monkeypatch, moment):
    """Every call that touches the disk is a moment; the process dies just before it."""
    left = moment

    def mortal(call):
        def die_or(*args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0:
                raise _Killed
            return call(*args, **kwargs)

        return die_or

    with monkeypatch.context() as patch:
        for owner, name in (
            (Path, "mkdir"),
            (Path, "write_bytes"),
            (Path, "rename"),
            (mw_pipeline.model.checkpoint, "sha256_file"),
            (mw_pipeline.model.checkpoint, "write_json_atomically"),
        ):
            patch.setattr(owner, name, mortal(getattr(owner, name)))
        try:
            save_checkpoint(saved, tagger(1), facts(8), optimizer={"exp_avg.crf.start": torch.zeros(21)})
            survived = True
        except _Killed:
            survived = False

    assert recover_checkpoint(saved)
    found = load_checkpoint(saved)
    assert found.step in ((8,) if survived else (7, 8))
    expected = tagger(1 if found.step == 8 else 0).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in found.tagger.state_dict().items())
    assert [p.name for p in saved.parent.iterdir()] == ["last"]


def test_the_moments_of_the_kill_test_reach_past_the_end_of_a_save(saved, monkeypatch):
    calls = []
    for name in ("mkdir", "write_bytes", "rename"):
        call = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda *a, call=call, **k: (calls.append(1), call(*a, **k))[1])
    save_checkpoint(saved, tagger(1), facts(8), optimizer={"exp_avg.crf.start": torch.zeros(21)})

    assert len(calls) + 3 < 10  # three more for the two hashes and the JSON


def test_recovery_prefers_what_lies_in_place(saved):
    shutil.copytree(saved, saved.with_name(".last.new"))
    shutil.copytree(saved, saved.with_name(".last.old"))

    assert recover_checkpoint(saved)
    assert [p.name for p in saved.parent.iterdir()] == ["last"]


def test_recovery_does_not_take_an_unfinished_sibling_for_a_checkpoint(saved):
    saved.rename(saved.with_name(".last.new"))
    (saved.with_name(".last.new") / "checkpoint.json").unlink()

    assert not recover_checkpoint(saved)
    assert list(saved.parent.iterdir()) == []
