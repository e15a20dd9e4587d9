"""A raw file that changes asks for its source, each time with a key that Dagster has not seen."""

from __future__ import annotations

import json
import os
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import graph

from mw_pipeline.stages.place import Place
from mw_pipeline.stages.raw_files import SeenFiles, state_of
from resources.place import PlaceResource


def keys_of(states: str, seen: SeenFiles) -> tuple[list[str], SeenFiles]:
    """The keys that a file asks with while it takes these states, one after the other."""
    keys: list[str] = []
    for state in states:
        asked, seen = seen.after({"us:nad": state})
        keys += asked.values()
        seen = SeenFiles.of_text(seen.as_text(), now=0)
    return keys, seen


def test_a_file_that_goes_back_and_forth_asks_each_time_with_a_new_key() -> None:
    keys, _ = keys_of("ABABAB", SeenFiles(since=100))

    assert len(keys) == len(set(keys)) == 5


def test_a_file_that_stays_as_it_is_never_asks() -> None:
    assert keys_of("AAAA", SeenFiles(since=100))[0] == []


def test_a_count_that_begins_anew_asks_with_new_keys_too() -> None:
    first, _ = keys_of("ABAB", SeenFiles(since=100))
    second, _ = keys_of("ABAB", SeenFiles.of_text(None, now=200))

    assert not set(first) & set(second)


def test_a_file_that_is_gone_asks_for_nothing_until_it_comes_back_as_something_else() -> None:
    _, seen = keys_of("A", SeenFiles(since=100))

    gone, seen = seen.after({})
    same, seen = seen.after({"us:nad": "A"})
    other, _ = seen.after({"us:nad": "B"})

    assert (gone, same, list(other)) == ({}, {}, ["us:nad"])


@pytest.mark.parametrize("text", ["{}", "[]", "7", "no JSON", '{"us-fr:ban": "12.34"}'])
def test_what_something_else_wrote_is_nothing_seen_yet(text: str) -> None:
    assert SeenFiles.of_text(text, now=7) == SeenFiles(since=7)


def test_the_sensor_asks_anew_for_a_file_that_goes_back_to_what_it_was(tmp_path: Path, project: Path) -> None:
    spec = Place.of(project=str(project)).corpus_spec("us-fr")
    name, path = next((n, tmp_path / s.input) for n, s in spec.sources.items() if s.input is not None)
    path.parent.mkdir(parents=True)
    cursor, keys = None, []
    for content, time_ns in ((b"A", 10**18), (b"BB", 2 * 10**18)) * 3:
        path.write_bytes(content)
        os.utime(path, ns=(time_ns, time_ns))  # as a copy that keeps the times of its original
        with dg.build_sensor_context(
            cursor=cursor,
            repository_def=graph().get_repository_def(),
            resources={"place": PlaceResource(project=str(project), data=str(tmp_path))},
        ) as context:
            result = graph().resolve_sensor_def("raw_files").evaluate_tick(context)
        asked = [request for request in result.run_requests or [] if request.partition_key == f"us-fr:{name}"]
        cursor, keys = result.cursor, [*keys, *(request.run_key for request in asked)]

    assert len(keys) == len(set(keys)) == 5


def test_a_source_without_files_or_of_a_broken_corpus_is_nothing_to_watch(tmp_path: Path) -> None:
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "half.toml").write_text('version = "1')
    place = Place.of(project=str(tmp_path), data=str(tmp_path), store=str(tmp_path / "store"))

    assert state_of(place, "half:anything") is None
    assert json.loads(SeenFiles(since=1).as_text()) == {"since": 1, "states": {}, "asked": {}}
