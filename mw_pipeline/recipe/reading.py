"""Config files read into their models: TOML with inheritance, and errors that name key and nearest known key."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from mw_pipeline.digest import JSON
from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe.corpus_spec import CorpusSpec
from mw_pipeline.recipe.inheritance import documents, read_toml
from mw_pipeline.recipe.mix_wishes import MixWishes
from mw_pipeline.recipe.names import label_problem, licence_problem
from mw_pipeline.recipe.section import Section
from mw_pipeline.recipe.smoke_log import logging_problem
from mw_pipeline.recipe.training_recipe import Recipe

RECIPES_FOLDER = "recipes"
CORPORA_FOLDER = "corpora"
CAMPAIGNS_FOLDER = "campaigns"

_FROM_THE_FILE = ("name", "changes")
"""Fields of the models that no file states: they follow from its place and its base."""

_WHOLE_TABLES = ("weights", "class_weights")
"""Tables that are one value: a change of them replaces them whole."""

_EXPECTED = {
    "model_type": "expected a table",
    "dict_type": "expected a table",
    "tuple_type": "expected a list",
    "too_short": "expected at least {min_length} entry",
    "string_too_short": "expected a text that is not empty",
    "string_pattern_mismatch": "expected a text of the form {pattern}",
}
"""What a wrong value should have been, by the type of pydantic's error, where its words are those of Python."""


def load_recipe(path: Path) -> Recipe:
    """The effective recipe of a TOML file, after its `base` chain. Raises RecipeError with file and key path.

    Its name is its path below `recipes/`; that of a recipe of a campaign begins with `campaigns/`. A recipe whose smoke
    would log too little for a verdict is refused (M69), and one that weighs a label which it does not train."""
    document, base = _with_base(path)
    whole = {**document, "name": _recipe_name(path), "changes": _changes(base, document)}
    recipe = _validated(Recipe, whole, path)
    if (problem := logging_problem(recipe) or label_problem(recipe)) is not None:
        raise RecipeError(f"{path}: {problem}")
    return recipe


def load_corpus_spec(path: Path) -> CorpusSpec:
    """The effective corpus spec of a TOML file, after its `base` chain. Raises RecipeError with file and key path, and
    for a source under a licence that the spec does not allow."""
    document, _ = _with_base(path)
    spec = _validated(CorpusSpec, {**document, "name": _name_below(path, CORPORA_FOLDER)}, path)
    if problem := licence_problem(spec):
        raise RecipeError(f"{path}: {problem}")
    return spec


def as_written(path: Path) -> dict[str, Any]:
    """The document of a TOML file after its `base` chain, unchecked: what can be said of a file that is not valid.

    Empty where the file, or one that it stands on, is no TOML at all."""
    try:
        return _with_base(path)[0]
    except RecipeError:
        return {}


def differences(base: Recipe, recipe: Recipe) -> dict[str, JSON]:
    """Dotted key → the recipe's value for every key whose effective value is not the base's, however it was written.

    `mix.weights` and `loss.class_weights` are one key each; what the recipe alone leaves out is None."""
    before, after = (_flat(each.model_dump(mode="json", exclude=set(_FROM_THE_FILE))) for each in (base, recipe))
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    tables = sorted({table for key in changed if (table := _table_of(key)) is not None})
    whole = {f"{section}.{name}": getattr(getattr(recipe, section), name) for section, name in tables}
    return {key: after.get(key) for key in sorted(changed) if _table_of(key) is None} | whole


def _table_of(key: str) -> tuple[str, str] | None:
    section, _, rest = key.partition(".")
    name = rest.partition(".")[0]
    return (section, name) if name in _WHOLE_TABLES else None


def load_mix_wishes(path: Path) -> MixWishes:
    """The wanted doses of a TOML file. Raises RecipeError with file and key path."""
    return _validated(MixWishes, read_toml(path), path)


def _recipe_name(path: Path) -> str:
    """The nearer of the two folders counts: the whole checkout may lie below one that is called like the other."""
    named = (part for part in reversed(path.parts[:-1]) if part in (RECIPES_FOLDER, CAMPAIGNS_FOLDER))
    if next(named, None) == CAMPAIGNS_FOLDER:
        return f"{CAMPAIGNS_FOLDER}/{_name_below(path, CAMPAIGNS_FOLDER)}"
    return _name_below(path, RECIPES_FOLDER)


def _name_below(path: Path, folder: str) -> str:
    parts = path.with_suffix("").parts
    if folder in parts[:-1]:
        last = len(parts) - 1 - parts[::-1].index(folder)
        return "/".join(parts[last + 1 :])
    return parts[-1]


def _with_base(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The merged document and, when the file names one, the merged document of its base."""
    base, merged = None, None
    for file, document in reversed(documents(path)):
        if key := next((key for key in _FROM_THE_FILE if key in document), None):
            raise RecipeError(f"{file}: {key} is not a key: it follows from the file. Remove the line.")
        base, merged = merged, _merged(merged or {}, document)
    assert merged is not None
    return merged, base


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`change` laid over `base`, table by table; arrays, `mix.weights` and `loss.class_weights` are replaced whole."""
    merged = dict(base)
    for key, value in change.items():
        below = merged.get(key)
        keep_both = isinstance(value, dict) and isinstance(below, dict) and key not in _WHOLE_TABLES
        merged[key] = _merged(below, value) if keep_both and below is not None else value
    return merged


def _changes(base: dict[str, Any] | None, document: dict[str, Any]) -> dict[str, JSON]:
    if base is None:
        return {}
    before, after = _flat(base), _flat(document)
    return {key: after.get(key) for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)}


def _flat(document: dict[str, Any], prefix: str = "") -> dict[str, JSON]:
    flat: dict[str, JSON] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


Model = TypeVar("Model", bound=Section)


def _validated(model: type[Model], document: dict[str, Any], path: Path) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        # A misspelt key is both unknown and missing: its sentence is the one that helps.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        raise RecipeError(f"{path}: {_sentence(model, first)}") from None


def _sentence(model: type[Section], error: Any) -> str:
    location: tuple[int | str, ...] = tuple(part for part in error["loc"] if part != "[key]")
    key = ".".join(f"{part!s:.80}" for part in location) or "the file"
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.0)
        listed = ", ".join(known)
        return f"{key} is not a key; the nearest known key is {near[0]!r}. Correct or remove it; known here: {listed}."
    if error["type"] == "missing":
        table = ".".join(str(part) for part in location[:-1])
        return f"{key} is missing, expected in {f'[{table}]' if table else 'the file'}. Add it."
    found = "" if error["type"] == "value_error" and isinstance(error["input"], dict) else f" is {error['input']!r:.80}"
    return f"{key}{found}: {_expected(error)}. Correct the value."


def _expected(error: Any) -> str:
    """What would have been right, in the words of a config file."""
    if error["type"] in _EXPECTED:
        return _EXPECTED[error["type"]].format(**error.get("ctx", {}))
    expected = "expected a number" if error["type"].startswith(("greater_than", "less_than")) else "expected"
    message: str = error["msg"].removeprefix("Value error, ").replace("Input should be", expected, 1)
    return message[0].lower() + message[1:]


def _known_keys(model: type[Section], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at `location` may hold."""
    fields: type[Section] = model
    named_by_file = False
    for part in location:
        if named_by_file:
            named_by_file = False
            continue
        field = fields.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and issubclass(annotation, Section):
            fields = annotation
        elif (below := get_args(annotation)[-1:]) and isinstance(below[0], type) and issubclass(below[0], Section):
            fields, named_by_file = below[0], True  # a table of tables: the next part is a name that the file chose
    hidden = {"name", "changes"} if fields in (Recipe, CorpusSpec) else set()
    return sorted((set(fields.model_fields) - hidden) | ({"base"} if fields in (Recipe, CorpusSpec) else set()))
