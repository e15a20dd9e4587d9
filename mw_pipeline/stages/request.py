"""What a stage asks of the store: one artifact, named by everything that goes into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.artifact import Artifact, key_of
from mw_pipeline.digest import JSON, code_digest
from mw_pipeline.errors import ArtifactError
from mw_pipeline.recipe import Recipe
from mw_pipeline.store import Built, Store

A_MOMENT_SECONDS = 60.0
"""How long an artifact is waited for that takes another process a moment, on however loaded a machine."""


@dataclass(frozen=True)
class Request:
    """One artifact of one partition: its kind, inputs, config and the modules whose code makes it.

    `asset` names the graph node that makes it (the verdict is made by its smoke's node)."""

    kind: str
    partition: str
    inputs: tuple[Artifact, ...] = ()
    config: JSON = None
    modules: tuple[str, ...] = ()
    recipe: Recipe | None = None
    asset: str = ""

    @property
    def key(self) -> str:
        """The first half of the digest that the artifact has, or would have."""
        return key_of(self.kind, tuple(a.reference for a in self.inputs), self.config, code_digest(self.modules))

    @property
    def command(self) -> str:
        """What a person types to make it."""
        return materialize_command(self.asset or self.kind, self.partition)

    def find(self, store: Store) -> Artifact | None:
        """The artifact, or None when it was never made from exactly this."""
        return store.find(self.kind, self.key)

    def demand(self, store: Store) -> Artifact:
        """The artifact. Raises ArtifactError with the command that makes it when it is not there."""
        found = self.find(store)
        if found is None:
            raise ArtifactError(
                f"{self.kind} of {self.partition!r} is not in the store for these inputs, config and code. "
                f"Run `{self.command}`."
            )
        return found

    def build(
        self, store: Store, make: Callable[[Path], Mapping[str, JSON]], *, patience_seconds: float = 0.0
    ) -> Built:
        """The artifact, made by `make` unless it is there already; see `Store.build`."""
        return store.build(
            self.kind,
            make=make,
            inputs=self.inputs,
            config=self.config,
            modules=self.modules,
            recipe_digest=self.recipe.digest if self.recipe else "",
            recipe_name=self.recipe.name if self.recipe else "",
            patience_seconds=patience_seconds,
        )


def materialize_command(asset: str, partition: str) -> str:
    """What a person types to make one asset of one partition."""
    return f"dagster asset materialize -m assets.definitions --select {asset} --partition {partition}"
