"""The index of the rows that taught a recipe's full run, and the answer to why it reads an address as it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.dataset.summary import read_dataset_json
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.evaluate.checkpoint_parser import checkpoint_parser
from mw_pipeline.model.checkpoint import Checkpoint, load_checkpoint
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.parse import Parser
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE, shard_files, shards_of
from mw_pipeline.stages.dataset import mix_of
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.slices import TEACHING_ROWS
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.teaching.answer import ROWS_SHOWN, answer
from mw_pipeline.teaching.corpus_rows import rows_by_id
from mw_pipeline.teaching.index import TeachingIndex, draw_rows, write_index
from mw_pipeline.teaching.listed_rows import RowList
from mw_pipeline.teaching.reading import Reading, read_address
from mw_pipeline.teaching.shapes import SHAPES_FILE, write_shapes
from mw_pipeline.tokenizer import MODEL_NAME
from mw_pipeline.train.log import BEST, LAST


def build_index(request: Request, out: Path, progress: Progress) -> Metrics:
    """The last layer on rows drawn by source, and the shapes of all rows of a recipe."""
    recipe, dataset, manifest = request.recipe, request.input("tokenized_dataset"), request.input("corpus_manifest")
    shards = shards_of(manifest, recipe.sources_in_use)
    names = {path: f"{found.digest}/{path.name}" for found in shards.values() for path in shard_files(found)}
    progress(f"teaching index: counting shapes in {len(names):,} shards")
    shapes = write_shapes(list(names), out / SHAPES_FILE, excluded=manifest.file(EXCLUSIONS_FILE))
    train = TokenizedDataset(dataset.folder(), "train")
    drawn = draw_rows(train, rows=TEACHING_ROWS, seed=recipe.train.seed)
    progress(f"teaching index: the last layer on {len(drawn):,} of {len(train):,} training rows")
    mix = mix_of(request.input("source_mix"))
    facts = write_index(
        out,
        train,
        drawn,
        _checkpoints(request.input("full_checkpoint"), recipe),
        _loss(recipe, dataset),
        texts_of=partial(rows_by_id, names),
        draws={source["name"]: source["realised_share"] * mix["samples"] for source in mix["sources"]},
        recipe={"name": recipe.name, "digest": recipe.digest},
    )
    return {"rows": facts["rows"], "pieces": facts["pieces"], "shapes": shapes}


@dataclass(frozen=True)
class Teaching:
    """A recipe's full run with the rows that taught it, ready to be asked about addresses."""

    parser: Parser
    checkpoints: Mapping[str, Checkpoint]
    loss: TaggingLoss
    listed: RowList
    shapes_path: Path

    @classmethod
    def open(cls, place: Place, recipe_name: str, *, progress: Progress = quiet) -> Teaching:
        """The index is made where there is none. Raises GateError behind the lock, ArtifactError for an index of other
        checkpoints."""
        recipe = place.recipe(recipe_name)
        made = _found(place, recipe) or line.teaching_index.make(place, recipe_name, progress=progress).artifact
        tokenizer_path = line.tokenizer.demand(place, recipe).file(MODEL_NAME)
        full = line.full_checkpoint.demand(place, recipe)
        checkpoints, index = _checkpoints(full, recipe), TeachingIndex.read(made.folder())
        if index.facts["checkpoints"] != {name: checkpoint.step for name, checkpoint in checkpoints.items()}:
            raise ArtifactError(
                f"the teaching index of {recipe_name!r} is of other checkpoints than its full run has kept. Remove "
                f"{line.teaching_index.name}/{made.digest} from the store, and ask again."
            )
        return cls(
            checkpoint_parser(full.folder(), tokenizer_path),
            checkpoints,
            _loss(recipe, line.tokenized_dataset.demand(place, recipe)),
            RowList(index, recipe.label_set, _lineage(place, recipe)),
            made.file(SHAPES_FILE),
        )

    @property
    def index(self) -> TeachingIndex:
        """The rows, and the last layer on them."""
        return self.listed.index

    def read(self, address: str) -> Reading:
        """What the best checkpoint reads. Raises CorpusError for a text that holds nothing to read."""
        return read_address(self.parser, address, self.checkpoints, self.loss, self.index.window)

    def why(self, address: str, *, rows: int = ROWS_SHOWN) -> dict[str, JSON]:
        """Why it reads that: see `answer`."""
        return answer(self.read(address), self.listed, self.shapes_path, rows=rows)


def _found(place: Place, recipe: Recipe) -> Artifact | None:
    stage = line.teaching_index
    return stage.find(place, recipe) if stage.is_there(stage.subject(place, recipe)) else None


def _checkpoints(full: Artifact, recipe: Recipe) -> dict[str, Checkpoint]:
    """What the run has kept: its best checkpoint first, and its last where that is another one."""
    found = {name: load_checkpoint(full.folder(name), labels=recipe.label_set) for name in (BEST, LAST)}
    return found if found[BEST].step != found[LAST].step else {BEST: found[BEST]}


def _loss(recipe: Recipe, dataset: Artifact) -> TaggingLoss:
    counts = read_dataset_json(dataset.folder())["label_counts"]
    return TaggingLoss(recipe.loss, recipe.label_set, label_counts=counts)


def _lineage(place: Place, recipe: Recipe) -> dict[str, JSON]:
    """Source → which adapter read it, from which raw files, and their hashes: their names are those of today."""
    found, manifest = {}, line.corpus_manifest.demand(place, recipe)
    for source, shards in shards_of(manifest, recipe.sources_in_use).items():
        spec, config = place.corpus_spec(recipe.corpus).sources[source], shards.manifest.config
        found[source] = {"adapter": spec.adapter, "raw_files": spec.url or spec.input, "raw_sha256": config["raw"]}
    return found
