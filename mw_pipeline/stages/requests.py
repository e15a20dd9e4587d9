"""The name of every artifact of a recipe: its kind, inputs, config and code, without making anything.

Stages build these requests and checks find them, so both always mean the same artifact. Nothing here needs torch.
"""

from __future__ import annotations

from functools import partial

from mw_pipeline.artifact import Artifact
from mw_pipeline.corpus.inputs import input_digests
from mw_pipeline.digest import JSON, sha256_file, sha256_remembered
from mw_pipeline.errors import RecipeError
from mw_pipeline.golden.gold import manifests_of
from mw_pipeline.package.layout import layout_hashes
from mw_pipeline.recipe import Recipe
from mw_pipeline.records.adapter import companion_files
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.stages.baseline import Baseline, baseline_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.request import Request
from mw_pipeline.train import permit as permits
from mw_pipeline.verdict.gate import BINDING_SECTIONS, VERDICT_FILE

CODE: dict[str, tuple[str, ...]] = {
    "corpus_shards": ("mw_pipeline.corpus.build",),
    "corpus_manifest": ("mw_pipeline.corpus.leaks",),
    "golden_set": ("mw_pipeline.golden.judge", "mw_pipeline.stages.golden_sets", "mw_pipeline.golden.regions"),
    "source_mix": ("mw_pipeline.mix.plan", "mw_pipeline.corpus.census"),
    "closed_words": ("mw_pipeline.corpus.taught_words", "mw_pipeline.report.closed_words_page"),
    "source_audit": ("mw_pipeline.mix.changes", "mw_pipeline.report.audit_page", "mw_pipeline.corpus.waterfall"),
    "tokenizer": ("mw_pipeline.tokenizer", "mw_pipeline.dataset.text_sample"),
    "tokenized_dataset": ("mw_pipeline.dataset.build",),
    "smoke_checkpoint": ("mw_pipeline.train.loop",),
    "smoke_verdict": ("mw_pipeline.verdict.gate",),
    "full_run_permit": permits.MODULES,
    "full_checkpoint": ("mw_pipeline.train.loop",),
    "campaign_runs": ("mw_pipeline.train.loop",),
    "campaign_report": ("mw_pipeline.campaign.report", "mw_pipeline.report.campaign_page"),
    "eval_report": (
        "mw_pipeline.evaluate.evaluation",
        "mw_pipeline.evaluate.threshold_report",
        "mw_pipeline.report.page",
    ),
    "release_axes": (
        "mw_pipeline.evaluate.against_baseline",
        "mw_pipeline.package.build",
    ),
    "regression_diagnosis": ("mw_pipeline.evaluate.diagnose",),
    "gradient_probe": ("mw_pipeline.probes.gradients",),
    "activation_trace": ("mw_pipeline.probes.activations",),
    "label_separation": ("mw_pipeline.probes.separation",),
    "loss_comparison": ("mw_pipeline.evaluate.loss_ranking", "mw_pipeline.evaluate.checkpoint_parser"),
    "capability_matrix": (
        "mw_pipeline.capability.packages",
        "mw_pipeline.capability.training_rows",
        "mw_pipeline.package.build",
        "mw_pipeline.report.capability_page",
    ),
    "packaged_weights": (
        "mw_pipeline.package.build",
        "mw_pipeline.parse",
        "mw_pipeline.evaluate.evaluation",
        "mw_pipeline.stages.release_gates",
    ),
}
"""The modules whose code makes each kind of artifact; shards add the adapter that reads their source."""

MADE_WITH = {
    "smoke_verdict": "smoke_checkpoint",
    "full_run_permit": "full_checkpoint",
    "release_axes": "eval_report",
}
"""The node of the graph that makes what is no node itself."""


def shards(place: Place, corpus: str, source: str) -> Request:
    """Canonical and aligned rows of one source of a corpus. The raw files count by their bytes, not by their names."""
    spec = place.corpus_spec(corpus)
    adapter = get_adapter(spec.sources[source].adapter)
    raw = input_digests(spec, source, place.data, partial(companion_files, adapter))
    shaping = {"name", "version", "sources", "licences_allowed", "golden", "golden_sets", "budgets"}
    config: JSON = {
        "source": source,
        "spec": spec.sources[source].model_dump(mode="json", exclude={"budgets"}),
        "raw": raw,
        **spec.model_dump(mode="json", exclude=shaping),
    }
    modules = (*CODE["corpus_shards"], type(adapter).__module__)
    return Request("corpus_shards", f"{corpus}:{source}", config=config, modules=modules)


def manifest(place: Place, corpus: str) -> Request:
    """All shards of a corpus together, and the gold that none of them may train on."""
    spec = place.corpus_spec(corpus)
    inputs = (
        *(shards(place, corpus, source).demand(place.store) for source in sorted(spec.sources)),
        golden(place, corpus).demand(place.store),
    )
    config = {"corpus": corpus, "version": spec.version, "licences_allowed": list(spec.licences_allowed)}
    return Request("corpus_manifest", corpus, inputs, config, CODE["corpus_manifest"])


def golden(place: Place, corpus: str) -> Request:
    """The gold rows that judge every recipe of a corpus, and the further sets whose files are there.

    Manifests beside gold files count: gold whose manifest was stale is judged anew once that is written anew."""
    spec = place.corpus_spec(corpus)
    sets = {}
    for name, settings in spec.golden_sets.items():
        paths = place.golden_set_files(spec, name)
        beside = manifests_of(paths) if settings.adapter is None else []
        sets[name] = [settings.model_dump(mode="json"), *map(sha256_remembered, (*paths, *beside))]
    own = place.golden_paths(spec)
    files = [[path.name, sha256_file(path)] for path in (*own, *manifests_of(own))]
    adapters = {type(get_adapter(found.adapter)).__module__ for found in spec.golden_sets.values() if found.adapter}
    modules = (*CODE["golden_set"], *sorted(adapters))
    return Request("golden_set", corpus, (), {"files": files, "sets": sets}, modules)


def mix(place: Place, recipe: Recipe) -> Request:
    """The audited source mix of a recipe's full run."""
    inputs = (manifest(place, recipe.corpus).demand(place.store),)
    config = {**recipe.slice("mix"), "samples": samples_of(recipe), "seed": recipe.train.seed}
    return _of_recipe("source_mix", recipe, inputs, config)


def closed_words(place: Place, recipe: Recipe) -> Request:
    """How often the training rows of a recipe teach each closed word of its package's locales."""
    inputs = (manifest(place, recipe.corpus).demand(place.store),)
    config: JSON = {
        "labels": recipe.label_set.hash,
        "locales": list(recipe.package.locales),
        "untaught": list(recipe.package.untaught),
        "sources": sources_in_use(recipe),
    }
    return _of_recipe("closed_words", recipe, inputs, config)


def audit(place: Place, recipe: Recipe, *, since: Artifact | None = None, lost: str | None = None) -> Request:
    """What stands in the sources of a recipe and what is drawn from them, compared with an earlier audit.

    It counts pieces when the recipe has been tokenized. `lost` is the digest of the last audit when the store has it no
    longer."""
    inputs = [manifest(place, recipe.corpus).demand(place.store), mix(place, recipe).demand(place.store)]
    made = tokenizer(place, recipe).find(place.store) is not None
    inputs += [found for found in (dataset(place, recipe).find(place.store) if made else None, since) if found]
    spec = place.corpus_spec(recipe.corpus)
    budgets = {name: spec.budgets_of(name).model_dump(mode="json") for name in spec.sources}
    config: JSON = {"budgets": budgets, "lost": lost}
    return _of_recipe("source_audit", recipe, tuple(inputs), config)


def tokenizer(place: Place, recipe: Recipe) -> Request:
    """The SentencePiece model of a recipe."""
    inputs = (manifest(place, recipe.corpus).demand(place.store),)
    config = {**recipe.slice("tokenizer"), "sources": sources_in_use(recipe)}
    return _of_recipe("tokenizer", recipe, inputs, config)


def dataset(place: Place, recipe: Recipe) -> Request:
    """Ids and labels of every row of the recipe's sources."""
    inputs = (
        manifest(place, recipe.corpus).demand(place.store),
        tokenizer(place, recipe).demand(place.store),
    )
    config = {
        "labels": recipe.label_set.hash,
        "max_length": recipe.model.max_length,
        "sources": sources_in_use(recipe),
    }
    return _of_recipe("tokenized_dataset", recipe, inputs, config)


def smoke(place: Place, recipe: Recipe) -> Request:
    """The short run at sustained peak learning rate."""
    inputs = (dataset(place, recipe).demand(place.store), mix(place, recipe).demand(place.store))
    config = recipe.slice(*BINDING_SECTIONS)
    return _of_recipe("smoke_checkpoint", recipe, inputs, config)


def verdict(place: Place, recipe: Recipe) -> Request:
    """What the smoke's logs say about the full run."""
    inputs = (smoke(place, recipe).demand(place.store), dataset(place, recipe).demand(place.store))
    config = recipe.slice(*BINDING_SECTIONS)
    return _of_recipe("smoke_verdict", recipe, inputs, config)


def permit(place: Place, recipe: Recipe, device: str) -> Request:
    """What the lock gives out for the full run, once it has made the smoke again on a kind of device."""
    judged = verdict(place, recipe).demand(place.store)
    inputs = (dataset(place, recipe).demand(place.store), smoke(place, recipe).demand(place.store), judged)
    return _of_recipe("full_run_permit", recipe, inputs, permits.name_of(device))


def full(place: Place, recipe: Recipe) -> Request:
    """The full run, behind its verdict."""
    inputs = (
        dataset(place, recipe).demand(place.store),
        mix(place, recipe).demand(place.store),
        verdict(place, recipe).demand(place.store),
    )
    config = recipe.slice("model", "loss", "train", "mix", "labels")
    return _of_recipe("full_checkpoint", recipe, inputs, config)


def baseline(place: Place, recipe: Recipe) -> Baseline:
    """The packages that a recipe's own are compared with. Its full run is there: no release of that is a baseline."""
    return baseline_of(place, recipe, weights=full(place, recipe).demand(place.store).digest)


def axes(place: Place, recipe: Recipe) -> Request | None:
    """A release against its baseline; None where there is none. The baseline counts by its bytes and its name."""
    found = baseline(place, recipe)
    if not found.packages:
        return None
    inputs = (
        full(place, recipe).demand(place.store),
        tokenizer(place, recipe).demand(place.store),
        golden(place, recipe.corpus).demand(place.store),
    )
    config: JSON = {
        "labels": recipe.label_set.hash,
        "baseline": found.sentence,
        "packages": {locale: layout_hashes(path) for locale, path in found.packages.items()},
    }
    return _of_recipe("release_axes", recipe, inputs, config)


def _compared(place: Place, recipe: Recipe) -> tuple[Artifact, ...]:
    """The comparison with the baseline as an input, where there is a baseline."""
    request = axes(place, recipe)
    return () if request is None else (request.demand(place.store),)


def report(place: Place, recipe: Recipe) -> Request:
    """Scores of the full checkpoint on gold and held-out rows, and the page that shows them."""
    inputs = (
        full(place, recipe).demand(place.store),
        dataset(place, recipe).demand(place.store),
        golden(place, recipe.corpus).demand(place.store),
        verdict(place, recipe).demand(place.store),
        mix(place, recipe).demand(place.store),
        *_compared(place, recipe),
    )
    return _of_recipe("eval_report", recipe, inputs, recipe.slice("eval"))


def diagnosis(place: Place, recipe: Recipe) -> Request:
    """Every miss in a bucket, and what changed against the baseline where there is one."""
    inputs = (report(place, recipe).demand(place.store), *_compared(place, recipe))
    return _of_recipe("regression_diagnosis", recipe, inputs, recipe.slice("eval"))


def capability(place: Place, recipe: Recipe) -> Request:
    """What the bytes that will be packaged can read, cell by cell, for every locale of a recipe."""
    inputs = (
        full(place, recipe).demand(place.store),
        tokenizer(place, recipe).demand(place.store),
        manifest(place, recipe.corpus).demand(place.store),
    )
    config = {
        "locales": list(recipe.package.locales),
        "min_cell": recipe.eval.min_cell,
        "sources": sources_in_use(recipe),
        "places_held_out": place.corpus_spec(recipe.corpus).holdout_places_share,
    }
    return _of_recipe("capability_matrix", recipe, inputs, config)


def packages(place: Place, recipe: Recipe) -> Request:
    """The packaged weights of every locale of a recipe."""
    inputs = (
        full(place, recipe).demand(place.store),
        capability(place, recipe).demand(place.store),
        dataset(place, recipe).demand(place.store),
        tokenizer(place, recipe).demand(place.store),
        manifest(place, recipe.corpus).demand(place.store),
        golden(place, recipe.corpus).demand(place.store),
        report(place, recipe).demand(place.store),
        diagnosis(place, recipe).demand(place.store),
        *_compared(place, recipe),
    )
    return _of_recipe("packaged_weights", recipe, inputs, recipe.slice("package", "eval"))


def gradient_probe(place: Place, recipe: Recipe) -> Request:
    """The gradients of the smoke's checkpoint."""
    inputs = (smoke(place, recipe).demand(place.store), dataset(place, recipe).demand(place.store))
    return _of_recipe("gradient_probe", recipe, inputs, recipe.slice("loss", "mix", "train"))


def activation_trace(place: Place, recipe: Recipe) -> Request:
    """The activations of the full checkpoint beside those of its smoke."""
    made = (full(place, recipe), smoke(place, recipe), dataset(place, recipe))
    return _of_recipe("activation_trace", recipe, tuple(request.demand(place.store) for request in made), None)


def label_separation(place: Place, recipe: Recipe) -> Request:
    """What the full checkpoint gives every label inside its spans and outside."""
    inputs = (full(place, recipe).demand(place.store), dataset(place, recipe).demand(place.store))
    return _of_recipe("label_separation", recipe, inputs, None)


COMPARED_SEEDS = 3
"""Runs of each loss in a comparison: the fewest that it ranks."""


def compared_recipes(place: Place, folder: str) -> list[str]:
    """The recipes in a folder below `recipes`. Raises RecipeError when there are fewer than two."""
    names = [name for name in place.names("recipes") if name.rpartition("/")[0] == folder.strip("/")]
    if len(names) < 2:
        raise RecipeError(
            f"{place.project / 'recipes' / folder}: holds {len(names)} recipes, expected at least 2 to compare. "
            "Name a folder below recipes/."
        )
    return names


def loss_comparison(place: Place, folder: str, *, seeds: int = COMPARED_SEEDS) -> Request:
    """The losses of a folder of recipes, ranked; a seed whose smoke failed stands there by its verdict alone."""
    names = compared_recipes(place, folder)
    recipes = [place.recipe(f"{name}@{seed}") for name in names for seed in range(seeds)]
    inputs = [manifest(place, recipes[0].corpus).demand(place.store)]
    for recipe in recipes:
        judged = verdict(place, recipe).demand(place.store)
        inputs.append(judged)
        if judged.read_json(VERDICT_FILE)["outcome"] == "pass":
            inputs.append(full(place, recipe).demand(place.store))
    config = {"recipes": names, "seeds": seeds}
    return Request("loss_comparison", folder, tuple(inputs), config, CODE["loss_comparison"])


def samples_of(recipe: Recipe) -> int:
    """Rows that the full run draws, repetitions counted."""
    return recipe.train.steps * recipe.train.effective_batch


def sources_in_use(recipe: Recipe) -> list[str]:
    """The sources that the recipe weights above zero, sorted: the others are neither tokenized nor drawn."""
    return sorted(name for name, weight in recipe.mix.weights.items() if weight > 0)


def _of_recipe(kind: str, recipe: Recipe, inputs: tuple[Artifact, ...], config: JSON) -> Request:
    asset = MADE_WITH.get(kind, kind)
    return Request(kind, recipe.name, inputs, config, CODE[kind], recipe, asset=asset)
