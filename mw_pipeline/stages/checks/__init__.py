"""Every check of the graph as a function of a place and a partition: what it found, in words, with its evidence.

Each function is named by the sentence that should be true; its docstring is what the graph shows as description.
"""

from __future__ import annotations

from mw_pipeline.stages.checks.audit import sources_stay
from mw_pipeline.stages.checks.capability import no_cell_is_blind
from mw_pipeline.stages.checks.corpus import (
    licences_are_allowed,
    quarantine_within_budget,
    rows_are_conserved,
    rows_match_schema,
    splits_are_disjoint,
    waterfall_table,
)
from mw_pipeline.stages.checks.dataset import (
    data_is_enough,
    dataset_matches_schema,
    every_tag_is_taught,
    labels_survive_tokenizing,
    mix_is_as_declared,
    mix_is_not_concentrated,
    recipe_changes_one_thing,
    tokenizer_round_trips,
)
from mw_pipeline.stages.checks.gold import golden_is_not_in_train, golden_is_valid
from mw_pipeline.stages.checks.release import (
    PARITY_FILE,
    eval_is_comparable,
    package_matches_checkpoint,
    quantisation_costs_little,
    release_beats_its_gates,
)
from mw_pipeline.stages.checks.teaching import (
    closed_words_are_taught,
    holdout_is_covered,
    labels_agree,
    methods_apply,
    ordinals_are_no_house_numbers,
    scripts_are_at_home,
)
from mw_pipeline.stages.checks.training import (
    run_is_sound,
    smoke_verdict,
)
