"""What a stage of the line is: one declaration, from which its artifact's key, the graph, the lock and the plan derive.

A stage is asked of about a *subject*, one partition of its set, and answers with a *request*: one artifact, named by
everything that goes into it. `stages.line` declares them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

from mw_pipeline.artifact import Artifact, key_of
from mw_pipeline.digest import JSON, code_digest
from mw_pipeline.errors import ArtifactError
from mw_pipeline.recipe import CorpusSpec, Recipe
from mw_pipeline.stages.findings import Check
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.store import Built, Store

Per = Literal["source", "corpus", "recipe", "loss folder", "campaign"]
"""The sets of partitions: `CORPUS:SOURCE`, and the names of corpora, recipes, folders of losses and campaigns."""

A_MOMENT_SECONDS = 60.0
"""How long an artifact is waited for that takes another process a moment, on however loaded a machine."""

Metrics = Mapping[str, JSON]
"""What the function of a stage returns: what it has measured of the files that it wrote."""

Given = Mapping[str, Any]
"""What the function of a stage is given besides, by name."""

_CHECKS = "mw_pipeline.stages.checks"
_LOCK = "mw_pipeline.stages.recomputation:unlock_made_again"


@dataclass(frozen=True)
class Request:
    """One artifact of one partition: its kind, inputs, config and the modules whose code makes it.

    `of_recipe` is that of a stage that has one, `asset` the graph node that makes it (its smoke's node the verdict)."""

    kind: str
    partition: str
    inputs: tuple[Artifact, ...] = ()
    config: JSON = None
    modules: tuple[str, ...] = ()
    of_recipe: Recipe | None = None
    asset: str = ""

    @property
    def recipe(self) -> Recipe:
        """The recipe. Only for stages of one."""
        assert self.of_recipe is not None, self.partition
        return self.of_recipe

    def input(self, kind: str) -> Artifact:
        """Its first input of a kind, which it has."""
        return next(artifact for artifact in self.inputs if artifact.kind == kind)

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

    def build(self, store: Store, make: Callable[[Path], Metrics], *, patience_seconds: float = 0.0) -> Built:
        """The artifact, made by `make` unless it is there already; see `Store.build`."""
        return store.build(
            self.kind,
            make=make,
            inputs=self.inputs,
            config=self.config,
            modules=self.modules,
            recipe_digest=self.of_recipe.digest if self.of_recipe else "",
            recipe_name=self.of_recipe.name if self.of_recipe else "",
            patience_seconds=patience_seconds,
        )


def materialize_command(asset: str, partition: str) -> str:
    """What a person types to make one asset of one partition."""
    return f"dagster asset materialize -m assets.definitions --select {asset} --partition {partition}"


@dataclass(frozen=True)
class Subject:
    """What a stage is asked about: one partition in a place, with the corpus, source and recipe that it is of."""

    place: Place
    partition: str
    corpus: str = ""
    source: str = ""
    of_recipe: Recipe | None = None

    @property
    def recipe(self) -> Recipe:
        """The recipe. Only for stages of one."""
        assert self.of_recipe is not None, self.partition
        return self.of_recipe

    @property
    def spec(self) -> CorpusSpec:
        """The spec of its corpus."""
        return self.place.corpus_spec(self.corpus)

    @property
    def name(self) -> str:
        """What its artifacts call it: the name of its recipe, also where someone typed the path of a file."""
        return self.of_recipe.name if self.of_recipe else self.partition

    @property
    def digest(self) -> str:
        """That of its recipe; two recipes of one name are two subjects."""
        return self.of_recipe.digest if self.of_recipe else ""


About = str | Recipe | Subject
"""A partition as people have it at hand: its key, a recipe, or a subject of a set further down the line."""
Modules = tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage:
    """A stage of the line, declared once.

    name            the kind of its artifacts, and the name of its node in the graph
    makes           what a partition of it is, in a sentence or two
    group           the group of the graph that it is shown in
    per             its set of partitions
    maker           "module:function", (request, out, progress, …) → metrics: its function, which writes the files of
                    a request into the folder `out` and looks nothing up; loaded when something is to be made
    given           subject → what else its function is given, by name, which is no artifact
    resumes         whether it is given a folder `work` too, in which a killed one has left what it had done
    procedure       "module:function", (place, partition, progress=…, …) → Built: what must hold or be made before it
                    is built, or be done after it; for stages with more of that than the lock
    patience        seconds that it is waited for while another process makes it
    inputs          stages whose artifacts go into it, in the order of its key: of a finer set, all of the partition
    optional_inputs stages whose artifacts go in where they are there
    after           stages that the graph makes first, though nothing of theirs goes in
    before          names of stages that wait for this one and for its checks, though nothing of it goes into them
    extra_inputs    (subject, …) → inputs that no set of partitions names, after the others
    config          (subject, …) → what of recipe, spec or files it reads
    code            modules whose code makes it; `extra_code` has those that depend on the subject
    exists          subject → whether it has one at all
    made_with       the stage whose node makes it, where it has no node of its own
    blocks          checks of `stages.checks` that stop what comes after: in the graph the run that holds them, before
                    the lock every run, of packages their release; `warns` those that stop nothing
    finish          "module:function", (place, partition, artifact) → a sentence: done when the graph has it
    tensors         whether it runs in the child process, where torch may be loaded
    locked          whether it stands behind the lock
    packaging       whether it is about the bytes of a package
    makes_inputs    whether it makes what it lacks, so that a missing input is no error
    """

    name: str
    makes: str
    group: str
    per: Per
    maker: str = ""
    given: Callable[[Subject], Given] = lambda subject: {}
    resumes: bool = False
    procedure: str = ""
    patience: float = 0.0
    inputs: tuple[Stage, ...] = ()
    optional_inputs: tuple[Stage, ...] = ()
    after: tuple[Stage, ...] = ()
    before: tuple[str, ...] = ()
    extra_inputs: Callable[..., Iterator[Artifact]] | None = None
    config: Callable[..., JSON] = lambda subject: None
    code: Modules = ()
    extra_code: Callable[[Subject], Modules] | None = None
    exists: Callable[[Subject], bool] = lambda subject: True
    made_with: str = ""
    blocks: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()
    finish: str = ""
    tensors: bool = False
    locked: bool = False
    packaging: bool = False
    makes_inputs: bool = False

    @property
    def node(self) -> str:
        """The node of the graph that makes it."""
        return self.made_with or self.name

    def request(self, place: Place, about: About, **asked: Any) -> Request:
        """What is asked of the store; `asked` goes to `extra_inputs` and `config`.

        Raises RecipeError for a partition that is not there, ArtifactError for an input that is not."""
        subject = self.subject(place, about)
        inputs = [stage.demand(place, one) for stage in self.inputs for one in stage._each_of(subject)]
        inputs += [stage.demand(place, subject) for stage in self.optional_inputs if stage.is_there(subject)]
        inputs += self.extra_inputs(subject, **asked) if self.extra_inputs else ()
        modules = (*self.code, *(self.extra_code(subject) if self.extra_code else ()))
        recipe = subject.of_recipe if self.per == "recipe" else None
        config = self.config(subject, **asked)
        return Request(self.name, subject.name, tuple(inputs), config, modules, recipe, self.node)

    def find(self, place: Place, about: About, **asked: Any) -> Artifact | None:
        """The artifact, or None when it was never made from exactly this; raises as `request` does.

        A place that remembers has each looked up once."""
        subject = self.subject(place, about)
        name = (self.name, subject.name, subject.digest, repr(sorted(asked.items())))
        memory = {} if place.memory is None else place.memory
        if name not in memory:
            found = self.request(place, subject, **asked).find(place.store)
            if found is None:
                return None
            memory[name] = found
        artifact: Artifact = memory[name]
        return artifact

    def demand(self, place: Place, about: About, **asked: Any) -> Artifact:
        """The artifact. Raises ArtifactError with the command that makes it when it is not there."""
        found = self.find(place, about, **asked)
        if found is None:
            wanted = self.request(place, about, **asked)
            raise ArtifactError(
                f"{self.name} of {wanted.partition!r} is not in the store for these inputs, config and code. "
                f"Run `{wanted.command}`."
            )
        return found

    def make(self, place: Place, partition: str, *, progress: Progress = quiet, **asked: Any) -> Built:
        """The artifact, found or made by its procedure, or else by `build`, behind the lock where it stands there."""
        if self.procedure:
            procedure: Callable[..., Built] = resolve_name(self.procedure)
            return procedure(place, partition, progress=progress, **asked)
        if self.locked:
            resolve_name(_LOCK)(place, partition, packaging=self.packaging, progress=progress)
        return self.build(place, partition, progress=progress, **asked)

    def build(
        self, place: Place, about: About, *, progress: Progress = quiet, given: Given | None = None, **asked: Any
    ) -> Built:
        """The artifact, found or made by its function, with what its procedure has `given`; see `Store.build`. Asks no
        lock: that is for `make`, and for the procedure of a stage that has one."""
        request, subject = self.request(place, about, **asked), self.subject(place, about)
        maker: Callable[..., Metrics] = resolve_name(self.maker)

        def make(out: Path) -> Metrics:
            def write(**work: Path) -> Metrics:
                return maker(request, out, progress, **self.given(subject), **(given or {}), **work)

            if not self.resumes:
                return write()
            with place.store.work(self.name, request.key) as work:  # the time that is left is asked once it is there
                return write(work=work)

        built = request.build(place.store, make, patience_seconds=self.patience)
        if self.resumes:
            place.store.sweep_work(self.name, request.key)
        return built

    def checks(self, *, blocking: bool) -> tuple[Check, ...]:
        """Its checks, those that block or those that warn."""
        names = self.blocks if blocking else self.warns
        return tuple(resolve_name(name if ":" in name else f"{_CHECKS}:{name}") for name in names)

    def subject(self, place: Place, about: About) -> Subject:
        """A partition of this stage's set, from its key or from something that has exactly one of them.

        Raises RecipeError for a recipe or a source that is not there."""
        if isinstance(about, Recipe):
            about = Subject(place, about.name, about.corpus, of_recipe=about)
        if isinstance(about, Subject):
            return about if self.per != "corpus" else Subject(place, about.corpus, about.corpus)
        return self._named(place, about)

    def partitions(self, subject: Subject) -> list[str]:
        """The keys of this stage's set that belong to a subject of the same set, or of one further down the line."""
        if self.per == "source" and not subject.source:
            return [f"{subject.corpus}:{source}" for source in sorted(subject.spec.sources)]
        return [self.subject(subject.place, subject).partition]

    def _named(self, place: Place, partition: str) -> Subject:
        if self.per == "recipe":
            recipe = place.recipe(partition)
            return Subject(place, partition, recipe.corpus, of_recipe=recipe)
        if self.per == "loss folder":
            return Subject(place, partition, place.recipe(place.recipes_in(partition)[0]).corpus)
        if self.per == "source":
            corpus, _, source = partition.partition(":")
            place.demand_source(corpus, source)
            return Subject(place, partition, corpus, source)
        return Subject(place, partition, partition if self.per == "corpus" else "")

    def is_there(self, subject: Subject) -> bool:
        """Whether it, and before it all that goes into it, was made. Raises ArtifactError for what is damaged."""
        before = all(stage.is_there(subject) for stage in self.inputs)
        return before and all(self.find(subject.place, about) is not None for about in self._each_of(subject))

    def _each_of(self, subject: Subject) -> Sequence[About]:
        """What of it belongs to a subject. A recipe stays the one that it is: its file may lie outside the project."""
        if not self.exists(subject):
            return ()
        return self.partitions(subject) if self.per == "source" else (subject,)
