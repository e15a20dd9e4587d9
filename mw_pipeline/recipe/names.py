"""What config files name of each other and of themselves, held against what is there: a typo costs no corpus."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import get_args

from mw_pipeline.licences import asks_to_share_alike
from mw_pipeline.recipe.corpus_spec import CorpusSpec
from mw_pipeline.recipe.release_sections import ClosedKind
from mw_pipeline.recipe.training_recipe import Recipe


def corpus_problem(recipe: Recipe, spec: CorpusSpec) -> str | None:
    """The first key of a recipe that names what its corpus does not have, or asks what that cannot answer; or None."""
    file = f"corpora/{spec.name}.toml"
    for key, named, kind, known in (
        ("mix.weights", recipe.mix.weights, "source", spec.sources),
        ("eval.gates", recipe.eval.gates, "golden set", spec.golden_sets),
    ):
        table = "sources" if kind == "source" else "golden_sets"
        for name in named:
            if name not in known:
                what, near = f"{kind} of corpus {spec.name!r}", _nearest(name, known)
                return f"{key}.{name} is no {what}; {near}. Correct or remove it, or add [{table}.{name}] to {file}."
    return _unweighted_problem(recipe, spec) or _set_problem(recipe, spec) or _locale_problem(recipe, spec, file)


def licence_problem(spec: CorpusSpec) -> str | None:
    """The first source of a spec whose rows no one could train on by the licence that it is given, or None."""
    for name, source in spec.sources.items():
        key = f"sources.{name}.licence is {source.licence!r}"
        if source.licence is None:
            continue
        if source.licence not in spec.licences_allowed:
            allowed = ", ".join(spec.licences_allowed) or "nothing"
            return f"{key}, and licences_allowed lists {allowed}. Correct it, or add it there."
        if asks_to_share_alike(source.licence) and not source.share_alike_allowed:
            return f"{key}, a share-alike licence. Leave the source out, or set share_alike_allowed = true."
    return None


def label_problem(recipe: Recipe) -> str | None:
    """The first class weight of a recipe for a label that it does not train, or None."""
    labels = recipe.label_set.labels
    name = next((name for name in recipe.loss.class_weights if name not in labels), None)
    if name is None:
        return None
    return f"loss.class_weights.{name} is no label of labels = {recipe.labels}; {_nearest(name, labels)}. Correct it."


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"the nearest is {near[0]!r}" if near else "it has none"


def _unweighted_problem(recipe: Recipe, spec: CorpusSpec) -> str | None:
    """A source that is left out unseen (M10)."""
    missing = [name for name in spec.sources if name not in recipe.mix.weights]
    if not missing:
        return None
    return (
        f"mix.weights lists no {', '.join(missing)} of corpus {spec.name!r}. Give each of its sources a weight, 0 to "
        "leave it out."
    )


def _set_problem(recipe: Recipe, spec: CorpusSpec) -> str | None:
    for name in recipe.eval.gates:
        tags = spec.golden_sets[name].tags
        if tags is not None and not {*tags} & {*recipe.label_set.tags}:
            return (
                f"eval.gates.{name} would score nothing: the set is complete for {', '.join(tags)}, and labels = "
                f"{recipe.labels} have none of them. Remove the gate, or train labels = 3."
            )
    return None


def _locale_problem(recipe: Recipe, spec: CorpusSpec, file: str) -> str | None:
    """A locale can go without rows of its country only where the recipe promises none of the words of it."""
    if not spec.countries or not {*get_args(ClosedKind)} - {*recipe.package.untaught}:
        return None
    for locale in recipe.package.locales:
        country = locale.rpartition("-")[2].upper()
        if country not in spec.countries:
            return (
                f"package.locales has {locale!r}, and corpus {spec.name!r} keeps no row of {country}: its countries "
                f"are {', '.join(spec.countries)}. Remove the locale, or add {country} to countries in {file}."
            )
    return None
