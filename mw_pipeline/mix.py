"""The source mix: which source each training sample comes from, and what that means for every row.

The audit does not predict the sampler, it runs it (M11): `plan_mix` and training build the same `MixSampler`.
"""

from collections.abc import Mapping

from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe import MixConfig
from mw_pipeline.sampler import MixSampler as MixSampler
from mw_pipeline.sampler import shares_of


def sampler_for(rows_per_source: Mapping[str, int], config: MixConfig, *, samples: int, seed: int) -> MixSampler:
    """The sampler of a recipe, the cap on repetitions applied. `samples` is what the full run draws, in a smoke too:
    a smoke that derived the cap from its own length would train on another mix."""
    weights = capped_shares(rows_per_source, config, samples=samples)
    return MixSampler(rows_per_source, weights, seed=seed, cycle=config.cycle)


def capped_shares(rows_per_source: Mapping[str, int], config: MixConfig, *, samples: int) -> dict[str, float]:
    """Shares under `mix.max_repetitions`: a source at the cap gives its excess to the others by weight.

    Raises RecipeError when all sources at their cap cannot fill `samples`.
    """
    shares = shares_of(rows_per_source, config.weights)
    if config.max_repetitions is None:
        return shares
    room = {name: config.max_repetitions * rows_per_source[name] / samples for name in shares}
    if sum(room.values()) < 1:
        raise RecipeError(
            f"mix.max_repetitions {config.max_repetitions!r} allows {int(sum(room.values()) * samples)} samples of "
            f"the {samples} that train needs. Raise it, train fewer steps, or add rows."
        )
    capped: set[str] = set()
    while over := {name for name, share in shares.items() if share > room[name] and name not in capped}:
        capped |= over
        left = 1 - sum(room[name] for name in capped)
        free = {name: config.weights[name] for name in shares if name not in capped}
        shares = {name: room[name] if name in capped else left * free[name] / sum(free.values()) for name in shares}
    return shares
