"""What each stage reads of recipe, corpus spec, files and store: the config in its artifact's key, what its function is
given of the place, and artifacts that no declaration names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from mw_pipeline.artifact import Artifact
from mw_pipeline.campaign.folder import Campaign
from mw_pipeline.corpus.inputs import input_digests
from mw_pipeline.digest import JSON, sha256_file, sha256_remembered
from mw_pipeline.golden.gold import manifests_of
from mw_pipeline.records.adapter import companion_files
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.stages.golden import GoldFiles
from mw_pipeline.stages.stage import Given, Modules, Subject
from mw_pipeline.train import permit

RunsMade = Mapping[str, Mapping[str, Artifact]]
"""What the store has of each recipe of a campaign: its smoke, verdict and full run, by these words."""

COMPARED_SEEDS = 3
"""Runs of each loss in a comparison: the fewest that it ranks."""

TEACHING_ROWS = 20_000
"""Training rows whose last layer is kept: enough for √rows of each source, and a few hundred megabytes."""

_SHAPES_NO_ROW = {"name", "version", "sources", "licences_allowed", "golden", "golden_sets", "budgets"}


def sections(*names: str) -> Callable[[Subject], JSON]:
    """The named sections of the recipe."""
    return lambda subject: subject.recipe.slice(*names)


def of_shards(subject: Subject) -> JSON:
    """The raw files count by their bytes, not by their names."""
    spec, source = subject.spec, subject.source
    adapter = get_adapter(spec.sources[source].adapter)
    return {
        "source": source,
        "spec": spec.sources[source].model_dump(mode="json", exclude={"budgets"}),
        "raw": input_digests(spec, source, subject.place.data, partial(companion_files, adapter)),
        **spec.model_dump(mode="json", exclude=_SHAPES_NO_ROW),
    }


def raw_files(subject: Subject) -> Given:
    """Where the raw files of a source lie, where those go that are fetched, and who reads them."""
    place = subject.place
    return {"spec": subject.spec, "data": place.data, "fetched": place.store.root / "raw", "workers": place.workers}


def gold_files(subject: Subject) -> GoldFiles:
    """The files of the corpus's own gold and of every further set."""
    spec, place = subject.spec, subject.place
    sets = {name: place.golden_set_files(spec, name) for name in spec.golden_sets}
    return GoldFiles(spec, place.project, place.golden_paths(spec), place.data, sets)


def time_left(subject: Subject) -> Given:
    """How long a training may take, and whether it may go on in a later run."""
    return {"max_wall_seconds": subject.place.seconds_left, "in_parts": subject.place.in_parts}


def adapter_of_source(subject: Subject) -> Modules:
    """The module that reads the source."""
    return (type(get_adapter(subject.spec.sources[subject.source].adapter)).__module__,)


def of_gold(subject: Subject) -> JSON:
    """Manifests beside gold files count: gold whose manifest was stale is judged anew once that is written anew."""
    gold, sets = gold_files(subject), {}
    for name, paths in gold.sets.items():
        settings = gold.spec.golden_sets[name]
        beside = manifests_of(paths) if settings.adapter is None else []
        sets[name] = [settings.model_dump(mode="json"), *map(sha256_remembered, (*paths, *beside))]
    own = [[path.name, sha256_file(path)] for path in (*gold.own, *manifests_of(gold.own))]
    return {"files": own, "sets": sets}


def adapters_of_gold(subject: Subject) -> Modules:
    """The modules that read the labelled sources among the further sets."""
    named = (found.adapter for found in subject.spec.golden_sets.values())
    return tuple(sorted({type(get_adapter(name)).__module__ for name in named if name}))


def of_manifest(subject: Subject) -> JSON:
    """What the corpus allows."""
    spec = subject.spec
    return {"corpus": subject.corpus, "version": spec.version, "licences_allowed": list(spec.licences_allowed)}


def of_mix(subject: Subject) -> JSON:
    """Weights, and how much is drawn of them from which seed."""
    recipe = subject.recipe
    return {**recipe.slice("mix"), "samples": recipe.samples, "seed": recipe.train.seed}


def of_closed_words(subject: Subject) -> JSON:
    """The labels, locales and sources whose words are counted."""
    recipe = subject.recipe
    return {
        "labels": recipe.label_set.hash,
        "locales": list(recipe.package.locales),
        "untaught": list(recipe.package.untaught),
        "sources": recipe.sources_in_use,
    }


def of_audit(subject: Subject, *, since: Artifact | None = None, lost: str | None = None) -> JSON:
    """`lost` is the digest of the last audit when the store has it no longer."""
    spec = subject.spec
    return {"budgets": {name: spec.budgets_of(name).model_dump(mode="json") for name in spec.sources}, "lost": lost}


def last_audit(subject: Subject, *, since: Artifact | None = None, lost: str | None = None) -> Iterator[Artifact]:
    """The audit that this one is compared with, where the store has one."""
    if since is not None:
        yield since


def of_tokenizer(subject: Subject) -> JSON:
    """How it is learnt, and from which sources."""
    return {**subject.recipe.slice("tokenizer"), "sources": subject.recipe.sources_in_use}


def of_dataset(subject: Subject) -> JSON:
    """What makes rows of ids and labels."""
    recipe = subject.recipe
    return {
        "labels": recipe.label_set.hash,
        "max_length": recipe.model.max_length,
        "sources": recipe.sources_in_use,
        **recipe.slice("subwords"),
    }


def of_permit(subject: Subject, *, device: str) -> JSON:
    """Whose key seals it, for which kind of device."""
    return permit.name_of(device)


def of_capability(subject: Subject) -> JSON:
    """Which cells are asked, and how they are judged."""
    recipe = subject.recipe
    return {
        "locales": list(recipe.package.locales),
        "min_cell": recipe.eval.min_cell,
        "sources": recipe.sources_in_use,
        "places_held_out": subject.spec.holdout_places_share,
    }


def of_teaching(subject: Subject) -> JSON:
    """How many rows are drawn from which seed, and whose loss it is that they pull by."""
    recipe = subject.recipe
    sources = recipe.sources_in_use
    return {"rows": TEACHING_ROWS, "seed": recipe.train.seed, "sources": sources, **recipe.slice("loss")}


def of_comparison(subject: Subject, *, seeds: int = COMPARED_SEEDS) -> JSON:
    """The recipes that are compared, and over how many seeds."""
    return {"recipes": subject.place.recipes_in(subject.partition), "seeds": seeds}


def of_campaign(subject: Subject, *, campaign: Campaign, made: RunsMade) -> JSON:
    """Each recipe by its digest."""
    recipes = {member.recipe.name: member.recipe.digest for member in campaign.members}
    return {"campaign": campaign.name, "base": campaign.base.digest, "recipes": recipes}


def runs_made(subject: Subject, *, campaign: Campaign, made: RunsMade) -> Iterator[Artifact]:
    """All that the store has of the campaign's recipes."""
    for member in campaign.members:
        yield from made[member.name].values()
