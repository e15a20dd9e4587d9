"""What other trainers call the columns of a log: which of them is which number here, and which is none that is known.

Names are compared by their words: `train/loss`, `Train Loss` and `trainLoss` are one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

NAMES: Mapping[str, tuple[str, ...]] = {
    "step": ("global_step", "trainer_global_step", "train_global_step", "step", "iteration", "iter", "steps", "it"),
    "loss": ("loss", "train_loss", "training_loss", "loss_train", "loss_training", "train_loss_step", "batch_loss"),
    "grad_norm": ("grad_norm", "train_grad_norm", "gradient_norm", "gnorm", "total_norm", "grad_norm_total"),
    "wall_seconds": ("wall_seconds", "wall_time", "elapsed_seconds", "elapsed", "runtime", "timestamp"),
    **{name: (name,) for name in ("ce", "crf", "tokens", "tokens_per_second")},
}
"""Column here → the names that others give it, the likeliest first; written as `plain_name` writes them."""

_CALLS = "_step"  # Weights & Biases count in it how often the trainer logged
_RATES = ("lr", "learning_rate", "train_lr", "train_learning_rate", "current_lr")
_NO_RATES = frozenset(
    {"momentum", "decay", "weight", "beta", "scale", "mult", "multiplier", "factor", "base", "initial", "init"}
    | {"max", "min", "loss", "scheduler", "last", "epoch"}
)
_SIDES = frozenset({"eval", "evaluation", "val", "valid", "validation", "dev"})
_OTHER_SIDES = frozenset({"train", "training", "test", "best", "step", "std"})
_FILLERS = frozenset(
    {"epoch", "mean", "avg", "average", "total", "score", "overall", "macro", "micro", "weighted", "seqeval", "entity"}
)
_F1 = frozenset({"f1", "f1score"})
_KINDS_OF_F1 = ("macro", "", "overall", "weighted", "micro")  # the likeliest to be the mean over tags first
_LOOKS = frozenset(
    {
        "loss",
        "nll",
        "perplexity",
        "ppl",
        "f1",
        "f1score",
        "accuracy",
        "acc",
        "precision",
        "recall",
        "score",
        "auc",
        "lr",
    }
)


@dataclass(frozen=True)
class Columns:
    """The columns of a log by what they are here.

    named    column here → the log's name for it, but for rates and evaluations
    rates    the log's names of the learning rates, one for each group of parameters
    sets     evaluation set → column here → the log's name for it; "" is the set that has no name
    other_steps  further columns that are a step, or a count of log calls
    replaced  evaluation columns that are not read, for a likelier one has the same number
    unknown  names that look like those of a loss, a score or a rate and are not known here
    """

    named: Mapping[str, str]
    rates: tuple[str, ...] = ()
    sets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    other_steps: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    @property
    def renamed(self) -> dict[str, str]:
        """Column here → the log's name for it, where that is another one."""
        rates = {"lr": ", ".join(self.rates)} if self.rates else {}
        sets = {
            f"{ours} of {name}" if name else ours: theirs
            for name, table in self.sets.items()
            for ours, theirs in table.items()
        }
        return {ours: theirs for ours, theirs in {**self.named, **rates, **sets}.items() if ours != theirs}


def plain_name(name: str) -> str:
    """A column name in lower case with single underscores between its words."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")


def columns_of(names: Iterable[str]) -> Columns:
    """What each of a log's columns is, the likeliest where several would do."""
    names = list(names)
    plain: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name == _CALLS):  # only where nothing else is a step
        plain.setdefault(plain_name(name), name)
    if plain.get("step") == _CALLS and _first(NAMES["step"], plain.keys() - {"step"}) is not None:
        del plain["step"]
    named = {ours: plain[found] for ours, theirs in NAMES.items() if (found := _first(theirs, plain)) is not None}
    rates = _rates(plain)
    sets, others = _evaluation_sets(plain)
    known = {*rates, *others, *(theirs for table in sets.values() for theirs in table.values())}
    known |= {plain[name] for theirs in (*NAMES.values(), _RATES) for name in theirs if name in plain}
    unknown = tuple(name for words, name in plain.items() if name not in known and _looks_like_a_metric(words))
    counts = [name for name in names if plain_name(name) in NAMES["step"] and name != named.get("step")]
    return Columns(named, rates, sets, unknown, tuple(counts), tuple(others))


def _first(candidates: Sequence[str], present: Collection[str]) -> str | None:
    return next((name for name in candidates if name in present), None)


def _is_rate(words: Sequence[str]) -> bool:
    return ("lr" in words or "learning_rate" in "_".join(words)) and not _NO_RATES & set(words)


def _rates(plain: Mapping[str, str]) -> tuple[str, ...]:
    """The column of the rate; without one, those of all parameter groups, as in `lr-AdamW/pg1`."""
    whole = _first(_RATES, plain)
    if whole is not None:
        return (plain[whole],)
    return tuple(name for words, name in plain.items() if _is_rate(words.split("_")))


def _looks_like_a_metric(plain: str) -> bool:
    words = set(plain.split("_"))
    return bool(words & _LOOKS or {"learning", "rate"} <= words) and not words & {"scale", "momentum", "decay"}


def _evaluation_sets(plain: Mapping[str, str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Set → its columns, "" for the one without a name; and names that a likelier one for the same number replaces.

    Beside a score over all, the score of a part (`eval_LOC_f1`) looks like that of a set. It is one when it comes with
    a loss; so do the sets of a trainer."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for words, name in plain.items():
        parsed = _evaluation(words.split("_"))
        if parsed is not None:
            of_set, ours, rank = parsed
            found.setdefault((of_set, ours), []).append((rank, name))
    best = {key: min(names, key=lambda ranked: ranked[0])[1] for key, names in found.items()}
    replaced = [name for key, names in found.items() for _, name in names if name != best[key]]
    tables: dict[str, dict[str, str]] = {"": {}}
    for (of_set, ours), name in best.items():
        tables.setdefault(of_set, {})[ours] = name
    wanted = _sets_among(tables)
    kept = {name: table for name, table in tables.items() if name in wanted and table}
    return ({"": next(iter(kept.values()), {})} if len(kept) < 2 else kept), replaced


def _sets_among(tables: Mapping[str, Mapping[str, str]]) -> set[str]:
    """The names that are sets: with a score and a loss, or with a score where no other can be the score over all."""
    whole = {name for name, table in tables.items() if len(table) == 2 and name}
    if "val_macro_f1" in tables[""]:
        return {"", *whole}
    scored = {name for name, table in tables.items() if "val_macro_f1" in table}
    parts = {name for name in scored for other in whole if name.startswith(f"{other}_")}
    if scored:
        return {"", *(scored - parts)}
    return {""} if tables[""] else set(tables)


def _evaluation(words: Sequence[str]) -> tuple[str, str, int] | None:
    """(set, column here, rank among the names for it) of an evaluation's column; None for another one."""
    given = set(words)
    if given & _OTHER_SIDES and not _is_of_a_test_set(words):
        return None
    side = next((at for at, word in enumerate(words) if word in _SIDES), None)
    named = [word for at, word in enumerate(words) if at != side]  # a further side word names the set
    rest = "_".join(word for word in named if word not in _FILLERS | _F1 | {"loss"})
    if given & _F1 and "loss" not in given:
        kind = next((at for at, word in enumerate(_KINDS_OF_F1) if word in given), _KINDS_OF_F1.index(""))
        return (rest, "val_macro_f1", kind) if given & _SIDES or not rest else None
    if "loss" in given and given & _SIDES:
        return rest, "val_loss", len(given & _FILLERS)
    return None


def is_of_a_test_set(name: str) -> bool:
    """Whether a column is a loss or a score of an evaluation set called `test`, as in `eval_test_f1`."""
    words = plain_name(name).split("_")
    return _is_of_a_test_set(words) and _evaluation(words) is not None


def _is_of_a_test_set(words: Sequence[str]) -> bool:
    return words[0] in _SIDES and "test" in words[1:] and not set(words) & (_OTHER_SIDES - {"test"})
