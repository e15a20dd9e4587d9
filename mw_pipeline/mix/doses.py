"""From wanted doses to mix weights: which weights give a source this share, or each of its rows so many repetitions.

The inverse of `plan_mix`: share_i = wanted, or repetitions_i × rows_i / samples; the rest of the samples goes to the
sources without a wish.
"""

from __future__ import annotations

from collections.abc import Mapping

from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe import MixConfig, MixWishes

_SUM_TOLERANCE = 1e-9
_DIGITS = 6  # of a weight: ten thousand times finer than the 1 % to which a dose is promised


def weights_for(
    rows_per_source: Mapping[str, int], wishes: MixWishes, mix: MixConfig, *, samples: int
) -> dict[str, float]:
    """Weights, as percentages of all samples, for every source of the corpus; 0 for one that is left out.

    `rows_per_source` counts selectable training rows, `samples` what the full run draws. Raises RecipeError that names
    every contradiction: wishes for sources that are not there or have no rows, shares that add up to more than one (or
    to less, with no source to take the rest), and wishes that `mix.max_repetitions` forbids."""
    shares = _wanted_shares(rows_per_source, wishes, mix, samples=samples)
    rest = 1 - sum(shares.values())
    parts = _parts_of_rest(rows_per_source, wishes, mix)
    total = sum(parts.values())
    if rest < -_SUM_TOLERANCE or (rest > _SUM_TOLERANCE and not total):
        listed = ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
        problem = "more than all samples" if rest < 0 else "less, and no other source could take the rest"
        raise RecipeError(f"the wishes add up to {1 - rest:.2%}: {listed}; that is {problem}. Change one of them.")
    if parts and rest <= _SUM_TOLERANCE:
        raise RecipeError(
            f"the wishes take every sample and leave none to {', '.join(sorted(parts))}. "
            "Lower a wish, or wish share = 0 for each of these."
        )
    # With max_repetitions the sampler lowers what is above the cap: the rest has to fit under it as well.
    shares |= {name: rest * part / total for name, part in parts.items()}
    _demand_fit_under_cap(rows_per_source, shares, mix, samples=samples)
    return {name: float(f"{100 * shares.get(name, 0.0):.{_DIGITS}g}") for name in rows_per_source}


def as_toml(weights: Mapping[str, float]) -> str:
    """The `[mix.weights]` table of a recipe."""
    return "\n".join(["[mix.weights]", *(f"{_key(name)} = {weight!r}" for name, weight in weights.items())])


def _wanted_shares(
    rows_per_source: Mapping[str, int], wishes: MixWishes, mix: MixConfig, *, samples: int
) -> dict[str, float]:
    problems: list[str] = []
    shares: dict[str, float] = {}
    for name, wish in wishes.sources.items():
        rows = rows_per_source.get(name)
        if rows is None:
            problems.append(f"sources.{name} is not a source of the corpus: it has {', '.join(rows_per_source)}")
            continue
        share = wish.share if wish.share is not None else (wish.repetitions or 0.0) * rows / samples
        if not rows and wish.share != 0:
            problems.append(f"sources.{name} has no training rows to give")
        elif share > 1:
            problems.append(
                f"sources.{name}.repetitions {wish.repetitions:g} × {rows:,} rows are {share * samples:,.0f} samples, "
                f"and the run draws {samples:,}"
            )
        shares[name] = share
    if problems:
        raise RecipeError(f"{'; '.join(problems)}. Correct these wishes.")
    return shares


def _parts_of_rest(rows_per_source: Mapping[str, int], wishes: MixWishes, mix: MixConfig) -> dict[str, float]:
    """How much each source without a wish takes of the rest, against the others."""
    amounts = rows_per_source if wishes.rest == "rows" else {name: mix.weights.get(name, 0) for name in rows_per_source}
    unwished = {
        name: float(amounts[name]) for name, rows in rows_per_source.items() if rows and name not in wishes.sources
    }
    if unwished and not any(unwished.values()):
        raise RecipeError(
            f"rest = 'weights', but the recipe weighs {', '.join(sorted(unwished))} with 0. "
            "Say rest = 'rows', or give one of them a wish."
        )
    return {name: amount for name, amount in unwished.items() if amount}


def _demand_fit_under_cap(
    rows_per_source: Mapping[str, int], shares: Mapping[str, float], mix: MixConfig, *, samples: int
) -> None:
    if mix.max_repetitions is None:
        return
    repetitions = {
        name: share * samples / rows_per_source[name] for name, share in shares.items() if rows_per_source[name]
    }
    over = [f"{name} {n:.2f}" for name, n in repetitions.items() if n > mix.max_repetitions * (1 + _SUM_TOLERANCE)]
    if over:
        raise RecipeError(
            f"mix.max_repetitions is {mix.max_repetitions:g}, and the wishes need more repetitions: {', '.join(over)}. "
            "Raise it in the recipe, or wish less."
        )


def _key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
