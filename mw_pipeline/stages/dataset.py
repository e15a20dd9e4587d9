"""From the corpus to what training reads: the audited mix, the tokenizer, the tokenized dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mw_pipeline.artifact import Artifact
from mw_pipeline.corpus.census import town_counts
from mw_pipeline.dataset.build import build_dataset as write_dataset
from mw_pipeline.dataset.build import dropped_rows
from mw_pipeline.dataset.text_sample import sample_texts
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.mix.doses import weights_for
from mw_pipeline.mix.places import Places
from mw_pipeline.mix.plan import Mix, plan_mix
from mw_pipeline.recipe import MixWishes, Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE, exclusions_of, row_files, training_rows
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.recipe_fit import demand_fit
from mw_pipeline.store import Built
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer

MIX_FILE = "mix.json"


def build_mix(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built:
    """The audited source mix of a recipe: `mix.json`, and `mix.md` for a person. Raises as `demand_fit` does."""
    recipe = place.recipe(recipe_name)
    request = line.source_mix.request(place, recipe)
    demand_fit(place, recipe)

    def make(out: Path) -> Mapping[str, JSON]:
        progress(f"mix: drawing {recipe.samples:,} rows as training will")
        mix = audit_mix(place, recipe)
        write_json_atomically(out / MIX_FILE, mix.as_json())
        (out / "mix.md").write_text(mix.as_table() + "\n", encoding="utf-8")
        return {"sources": len(mix.sources), "samples": mix.samples, "rows": sum(s.rows for s in mix.sources)}

    return request.build(place.store, make)


def audit_mix(place: Place, recipe: Recipe) -> Mix:
    """The mix of a recipe on its corpus, from a dry run of the sampler that training will use."""
    manifest = line.corpus_manifest.demand(place, recipe.corpus)
    files_of = row_files(place.store, manifest)
    return plan_mix(
        training_rows(manifest),
        recipe.mix,
        samples=recipe.samples,
        seed=recipe.train.seed,
        batch_rows=recipe.train.effective_batch,
        shards={name: len(files) for name, files in files_of.items()},
        places=_places(files_of, manifest),
    )


def _places(files_of: Mapping[str, Sequence[Path]], manifest: Artifact) -> dict[str, Places]:
    """The places of the training rows of every source, counted over its shards; a row without one is one of its own."""
    files = [path for paths in files_of.values() for path in paths]
    counted = town_counts(files, manifest.file(EXCLUSIONS_FILE))
    return {
        source: Places(np.concatenate([found.rows, np.ones(found.placeless, np.int64)]), commonest=found.commonest)
        for source, found in counted.items()
    }


def weigh(place: Place, recipe: Recipe, wishes: MixWishes) -> tuple[dict[str, float], Mix]:
    """The weights that give the sources of a recipe what is wished for them, and the mix that they make."""
    rows = training_rows(line.corpus_manifest.demand(place, recipe.corpus))
    weights = weights_for(rows, wishes, recipe.mix, samples=recipe.samples)
    mix = recipe.mix.model_copy(update={"weights": weights})
    return weights, audit_mix(place, recipe.model_copy(update={"mix": mix}))


def build_tokenizer(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built:
    """The SentencePiece model of a recipe: `tokenizer.model` and `META.json`."""
    recipe = place.recipe(recipe_name)
    request = line.tokenizer.request(place, recipe)

    def make(out: Path) -> Mapping[str, JSON]:
        config = recipe.tokenizer
        listed = line.corpus_manifest.demand(place, recipe.corpus).file(EXCLUSIONS_FILE)
        texts = sample_texts(files_in_use(place, recipe), rows=config.sample_rows, seed=config.seed, exclusions=listed)
        progress(f"tokenizer: learning {config.vocab_size:,} pieces from {len(texts):,} rows")
        facts = dict(train_tokenizer(texts, config, out / TOKENIZER_FILE))
        write_json_atomically(out / "META.json", {"config": config.model_dump(mode="json"), **facts})
        return {"rows": len(texts), **facts}

    return request.build(place.store, make)


def build_dataset(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built:
    """Ids and labels of every row of the recipe's sources, one Arrow file per split.

    A build that was killed goes on where it stopped; the workers of the place do it, and leave no trace in it."""
    recipe = place.recipe(recipe_name)
    request = line.tokenized_dataset.request(place, recipe)

    def make(out: Path) -> Mapping[str, JSON]:
        with place.store.work(request.kind, request.key) as work, place.workers.started(progress) as run:
            summary = write_dataset(
                files_in_use(place, recipe),
                tokenizer_of(line.tokenizer.demand(place, recipe)),
                recipe.label_set,
                recipe.model.max_length,
                out,
                excluded=exclusions_of(line.corpus_manifest.demand(place, recipe.corpus)).of,
                progress=progress,
                work=work,
                request=request.key,
                run=run,
            )
        return {
            "rows": sum(split["rows"] for split in summary["splits"].values()),
            "tokens": sum(split["pieces"] for split in summary["splits"].values()),
            **{f"rows_{reason}": rows for reason, rows in dropped_rows(summary).items()},
            "label_entropy": summary["label_entropy"],
        }

    built = request.build(place.store, make)
    place.store.sweep_work(request.kind, request.key)
    return built


def tokenizer_of(artifact: Artifact) -> Tokenizer:
    """The tokenizer that an artifact holds."""
    return Tokenizer(artifact.file(TOKENIZER_FILE))


def files_in_use(place: Place, recipe: Recipe) -> dict[str, list[Path]]:
    """Row files of the sources that the recipe weights above zero."""
    manifest = line.corpus_manifest.demand(place, recipe.corpus)
    wanted = recipe.sources_in_use
    return {name: files for name, files in row_files(place.store, manifest).items() if name in wanted}
