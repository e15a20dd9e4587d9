"""From the corpus to what training reads: the audited mix, the tokenizer, the tokenized dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from mw_pipeline.artifact import Artifact
from mw_pipeline.corpus.census import town_counts
from mw_pipeline.corpus.workers import Workers
from mw_pipeline.dataset.build import build_dataset as write_dataset
from mw_pipeline.dataset.cutting import Cutting
from mw_pipeline.dataset.summary import dropped_rows
from mw_pipeline.dataset.text_sample import sample_texts
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.json_shapes import REMEDY
from mw_pipeline.mix.doses import weights_for
from mw_pipeline.mix.places import Places
from mw_pipeline.mix.plan import Mix, plan_mix
from mw_pipeline.recipe import MixWishes, Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE, exclusions_of, row_files, training_rows
from mw_pipeline.stages.evidence import SourceMix, read_evidence
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.recipe_fit import demand_fit
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.store import Built
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer

MIX_FILE = "mix.json"


def source_mix(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built:
    """The mix of a recipe whose gates can be asked of its gold. Raises as `demand_fit` does."""
    line.source_mix.request(place, recipe_name)
    demand_fit(place, place.recipe(recipe_name))
    return line.source_mix.build(place, recipe_name, progress=progress)


def build_mix(request: Request, out: Path, progress: Progress) -> Metrics:
    """The audited source mix of a recipe: `mix.json`, and `mix.md` for a person."""
    progress(f"mix: drawing {request.recipe.samples:,} rows as training will")
    mix = audit_mix(request.input("corpus_manifest"), request.recipe)
    write_json_atomically(out / MIX_FILE, mix.as_json())
    (out / "mix.md").write_text(mix.as_table() + "\n", encoding="utf-8")
    return {"sources": len(mix.sources), "samples": mix.samples, "rows": sum(s.rows for s in mix.sources)}


def audit_mix(manifest: Artifact, recipe: Recipe) -> Mix:
    """The mix of a recipe on its corpus, from a dry run of the sampler that training will use."""
    files_of = row_files(manifest)
    return plan_mix(
        training_rows(manifest),
        recipe.mix,
        samples=recipe.samples,
        seed=recipe.train.seed,
        batch_rows=recipe.train.effective_batch,
        shards={name: len(files) for name, files in files_of.items()},
        places=_places(files_of, manifest),
    )


def mix_of(artifact: Artifact, *, sources: Collection[str] | None = None) -> JSON:
    """What `mix.json` of a mix says. Raises ArtifactError where it is not of that shape, or names other sources than
    these, where they are given."""
    mix = read_evidence(artifact, MIX_FILE, SourceMix)
    named = sorted(source["name"] for source in mix["sources"])
    if sources is not None and named != sorted(sources):
        raise ArtifactError(
            f"{artifact.path / MIX_FILE}: sources are {', '.join(named) or 'none'}, the corpus has "
            f"{', '.join(sorted(sources))}. {REMEDY}"
        )
    return mix


def _places(files_of: Mapping[str, Sequence[Path]], manifest: Artifact) -> dict[str, Places]:
    """The places of the training rows of every source, counted over its shards; a row without one is one of its own."""
    files = [path for paths in files_of.values() for path in paths]
    counted = town_counts(files, manifest.file(EXCLUSIONS_FILE))
    return {
        source: Places(np.concatenate([found.rows, np.ones(found.placeless, np.int64)]), commonest=found.commonest)
        for source, found in counted.items()
    }


def weigh(manifest: Artifact, recipe: Recipe, wishes: MixWishes) -> tuple[dict[str, float], Mix]:
    """The weights that give the sources of a recipe what is wished for them, and the mix that they make."""
    weights = weights_for(training_rows(manifest), wishes, recipe.mix, samples=recipe.samples)
    mix = recipe.mix.model_copy(update={"weights": weights})
    return weights, audit_mix(manifest, recipe.model_copy(update={"mix": mix}))


def build_tokenizer(request: Request, out: Path, progress: Progress) -> Metrics:
    """The SentencePiece model of a recipe: `tokenizer.model` and `META.json`."""
    manifest, config = request.input("corpus_manifest"), request.recipe.tokenizer
    files, listed = row_files(manifest, request.recipe.sources_in_use), manifest.file(EXCLUSIONS_FILE)
    texts = sample_texts(files, rows=config.sample_rows, seed=config.seed, exclusions=listed)
    progress(f"tokenizer: learning {config.vocab_size:,} pieces from {len(texts):,} rows")
    facts = dict(train_tokenizer(texts, config, out / TOKENIZER_FILE))
    write_json_atomically(out / "META.json", {"config": config.model_dump(mode="json"), **facts})
    return {"rows": len(texts), **facts}


def build_dataset(request: Request, out: Path, progress: Progress, *, workers: Workers, work: Path) -> Metrics:
    """Ids and labels of every row of the recipe's sources, one Arrow file per split.

    A build that was killed goes on where it stopped; the workers do it, and leave no trace in it."""
    recipe, manifest = request.recipe, request.input("corpus_manifest")
    with workers.started(progress) as run:
        summary = write_dataset(
            row_files(manifest, recipe.sources_in_use),
            tokenizer_of(request.input("tokenizer")),
            recipe.label_set,
            recipe.model.max_length,
            out,
            cutting=Cutting(**recipe.subwords.model_dump()),
            excluded=exclusions_of(manifest).of,
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


def tokenizer_of(artifact: Artifact) -> Tokenizer:
    """The tokenizer that an artifact holds."""
    return Tokenizer(artifact.file(TOKENIZER_FILE))
