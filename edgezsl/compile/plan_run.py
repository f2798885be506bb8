"""From a bundle to TensorRT plans on the machine that will run them: `edgezsl compile`.

Each precision is built, proved on the golden set and against ONNX Runtime, and timed; the fastest that passes is selected,
and one that does not pass is not kept. What a machine has to do with it comes in as `PlanTools`: its facts, the builder
and the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING, Any

from edgezsl.bundle import Bundle
from edgezsl.compile.latency import latency
from edgezsl.compile.plan_check import AUTO, wanted_precisions
from edgezsl.compile.tensorrt_build import OPTIMIZATION_LEVELS, BuildSettings, BuiltPlan, build_steps, slower_int8
from edgezsl.contract import CHANNELS
from edgezsl.errors import EngineError, InputError, Place
from edgezsl.evaluate.progress import Progress
from edgezsl.files import prepare_place, write_durably
from edgezsl.preprocess import Preprocessor
from edgezsl.records import sha256_hex
from edgezsl.runtime.engine import installed_engines
from edgezsl.runtime.golden import LEAST_COSINE, agreement, check_golden, golden_embeddings
from edgezsl.runtime.plan_engine import engine_of_plan, tensorrt_machine
from edgezsl.runtime.plan_record import Machine, PlanBuild, PlanIdentity, PlanRecord
from edgezsl.runtime.plans import PlanStore, plans_folder
from edgezsl.runtime.trusted_file import read_trusted, written_by_us_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from edgezsl.runtime.engine import Engine

LARGEST_TIMING_CACHE = 256 << 20  # bytes
_WARM_UP, _TIMED_RUNS = 10, 100


@dataclass(frozen=True, slots=True)
class CompileSettings:
    """What is compiled, and how.

    Attributes:
        bundle: The bundle's folder, or None for the model that comes with edgezsl.
        precision: A precision, or `auto`: all that the bundle holds, of which the fastest that passes is selected.
        plans: Where plans lie, or None for the usual place.
        workspace_mib: What the builder may use, or None for a quarter of the memory that is free.
        timing_cache: A file of what the builder measured, read and written, or None.
        optimization_level: 0 to 5, or None for TensorRT's own.
        force: Whether to build what is there already.
    """

    bundle: Path | None = None
    precision: str = AUTO
    plans: Path | None = None
    workspace_mib: int | None = None
    timing_cache: Path | None = None
    optimization_level: int | None = None
    force: bool = False

    def __post_init__(self) -> None:
        level = self.optimization_level
        if level is not None and level not in OPTIMIZATION_LEVELS:
            expected = f"{OPTIMIZATION_LEVELS[0]} to {OPTIMIZATION_LEVELS[-1]}"
            raise InputError(f"the optimisation level is {level}", code="bad_value", expected=expected)
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise InputError(f"the workspace is {self.workspace_mib} MiB", code="bad_value", expected="at least 1")


@dataclass(frozen=True, slots=True)
class PlanTools:
    """What a machine brings.

    Attributes:
        machine: What its plans are bound to.
        build: Takes an ONNX file and yields progress, and last the plan.
        load: Takes a plan, its bundle and its precision, and returns the engine.
    """

    machine: Machine
    build: Callable[[bytes, BuildSettings], Iterator[Progress | BuiltPlan]]
    load: Callable[[bytes, Bundle, str], Engine]


def tensorrt_tools() -> PlanTools:
    """Return TensorRT and the GPU of this machine.

    Raises:
        MissingExtraError: When TensorRT or cuda-bindings is not installed.
        EngineError: When there is no GPU, or TensorRT is of a version that is not supported.
    """
    return PlanTools(tensorrt_machine(), build_steps, _loaded)


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """How it went with one precision.

    Attributes:
        precision: Which.
        record: What the plan's sidecar says, or None where no plan passed.
        built: Whether it was built now; a plan that was there is proved and timed anew.
        reason: Why there is none, or empty.
    """

    precision: str
    record: PlanRecord | None
    built: bool = False
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as an object."""
        record = self.record.to_json() if self.record else None
        return {"precision": self.precision, "plan": record, "built": self.built, "reason": self.reason or None}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came out.

    Attributes:
        bundle: The bundle.
        machine: What the plans are bound to.
        folder: Where they lie.
        outcomes: How it went with each precision.
        selected: The precision that runs when none is asked for.
        notes: What else a person should know.
    """

    bundle: Bundle
    machine: Machine
    folder: Path
    outcomes: tuple[PlanOutcome, ...]
    selected: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl compile --json` prints."""
        return {
            "bundle": str(self.bundle.folder),
            "digest": self.bundle.digest,
            "machine": {name: getattr(self.machine, name) for name in Machine.__slots__},
            "folder": str(self.folder),
            "plans": [one.to_json() for one in self.outcomes],
            "selected": self.selected,
            "notes": list(self.notes),
        }


def compile_bundle(settings: CompileSettings, tools: PlanTools | None = None) -> Iterator[Progress | Compiled]:
    """Build the plans of a bundle, prove them, time them, keep what passes; yield progress, and last the result.

    Args:
        settings: What, and how.
        tools: The machine's, or None for TensorRT and the GPU of this one.

    Yields:
        Progress, and last the result.

    Raises:
        BundleError: When the bundle is damaged.
        InputError: When the bundle holds no such precision, or nothing can be written where plans lie.
        MissingExtraError: When TensorRT, cuda-bindings or what preprocessing needs is not installed.
        EngineError: When there is no GPU, or no plan was built, loaded and agreed with the golden answers.
    """
    bundle = Bundle.open(settings.bundle)
    precisions = wanted_precisions(bundle, settings.precision)
    tools = tools or tensorrt_tools()
    work = _Work(bundle, settings, tools, PlanStore(plans_folder(settings.plans)))
    work.prepare()
    outcomes: dict[str, PlanOutcome] = {}
    for precision in precisions:
        outcomes[precision] = yield from work.outcome(precision)
    records = {name: one.record for name, one in outcomes.items() if one.record}
    if not records:
        reasons = "; ".join(f"{name}: {one.reason}" for name, one in outcomes.items())
        message = f"no plan of {bundle.manifest.name!r} was built and agreed with its golden answers: {reasons}"
        hint = "take another engine, such as --engine onnx, or export the model again"
        raise EngineError(message, code="no_plan", where=Place(str(bundle.folder)), hint=hint)
    times = {name: record.timing["p50_ms"] for name, record in records.items()}
    selected = min(times, key=times.__getitem__)
    work.store.select(bundle, records[selected].identity)
    slow = slower_int8(times, {name: record.build.layers for name, record in records.items()})
    notes = (*work.notes, *(note for note in (slow, _without_half(settings, precisions)) if note))
    yield Compiled(bundle, tools.machine, work.store.folder(bundle), tuple(outcomes.values()), selected, notes)


def _without_half(settings: CompileSettings, precisions: Sequence[str]) -> str | None:
    """Return what a bundle lacks to choose from: INT8 does not pay on every board, and not every graph builds in it."""
    if settings.precision != AUTO or "fp16" in precisions:
        return None
    return "the bundle has no fp16 to compare with: edgezsl export --device NAME puts it beside INT8"


@dataclass(slots=True)
class _Work:
    """What the precisions of one bundle share while they are compiled."""

    bundle: Bundle
    settings: CompileSettings
    tools: PlanTools
    store: PlanStore
    timings: bytes = b""
    notes: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Find out what would stop it at the end, before the long part; read what the builder measured before."""
        Preprocessor(self.bundle.manifest.contract)(self.bundle.golden().frames[:1])
        self.store.prepare(self.bundle)
        path = self.settings.timing_cache
        if path is not None:
            try:
                with written_by_us_alone():
                    prepare_place(path)
            except OSError as cause:
                message = f"the timing cache cannot be written ({cause.strerror})"
                hint = "choose another file with --timing-cache"
                raise InputError(message, code="not_writable", where=Place(str(path)), hint=hint) from cause
        if path is not None and path.exists():
            command = f"{self.store.command(self.bundle)} --timing-cache {quote(str(path))}"
            self.timings = read_trusted(path, command, max_bytes=LARGEST_TIMING_CACHE, what="a timing cache")

    def outcome(self, precision: str) -> Generator[Progress, None, PlanOutcome]:
        """Prove the plan that is there, or build one, prove it and keep it.

        Raises:
            EngineError: When no plan of the precision passes, and it alone was asked for.
        """
        identity = PlanIdentity.of(self.bundle, self.tools.machine, precision)
        found = None if self.settings.force else self.store.find(self.bundle, identity)
        if found is not None:
            yield Progress(f"proving the {precision} plan that is there", 0, 1)
            try:
                return PlanOutcome(precision, self._proved(found.read(), identity, found.record.build))
            except EngineError as fault:
                self.notes.append(f"the {precision} plan that was there is not used: {fault.message}")
        try:
            return (yield from self._made(precision, identity))
        except EngineError as fault:
            if self.settings.precision != AUTO:
                raise
            return PlanOutcome(precision, None, reason=str(fault))

    def _made(self, precision: str, identity: PlanIdentity) -> Generator[Progress, None, PlanOutcome]:
        built = yield from self._built(precision)
        yield Progress(f"proving the {precision} plan", 0, 1)
        cache = str(self.settings.timing_cache or "")
        how = PlanBuild(built.workspace_mib, built.optimization_level, cache, built.seconds, built.layers)
        record = self._proved(built.data, identity, how)
        self.store.write(self.bundle, record, built.data)
        return PlanOutcome(precision, record, built=True)

    def _built(self, precision: str) -> Generator[Progress, None, BuiltPlan]:
        manifest = self.bundle.manifest
        name = manifest.image_encoders[precision]
        build = BuildSettings(
            name=name,
            contract=manifest.contract,
            batch=manifest.batch,
            workspace_mib=self.settings.workspace_mib,
            optimization_level=self.settings.optimization_level,
            timing_cache=self.timings,
        )
        for step in self.tools.build(self.bundle.read(name), build):
            if isinstance(step, BuiltPlan):
                self._keep_timings(step)
                return step
            yield step
        raise EngineError(f"the build of {name} ended without a plan", code="build_failed")

    def _keep_timings(self, built: BuiltPlan) -> None:
        """Let the next precision, and with a file the next run, start from what the builder measured."""
        path = self.settings.timing_cache
        if built.fresh_cache:
            said = "the timing cache was of another machine or version of TensorRT, and was begun anew"
            self.notes.append(said)
        self.timings = built.timing_cache
        if path is not None:
            try:
                with written_by_us_alone():
                    write_durably(path, self.timings)
            except OSError as cause:
                self.notes.append(f"the timing cache {path} was not written ({cause.strerror})")

    def _proved(self, data: bytes, identity: PlanIdentity, build: PlanBuild) -> PlanRecord:
        """Return what the sidecar of a plan says, once the plan has passed.

        Raises:
            EngineError: When it does not load, or does not agree with the golden answers or with ONNX Runtime.
        """
        manifest, precision = self.bundle.manifest, identity.precision
        engine = self.tools.load(data, self.bundle, precision)
        try:
            found = {"golden": check_golden(engine, self.bundle)}
            onnx = _onnx_agreement(engine, self.bundle)
            timing = _timing(engine, (manifest.batch.opt, CHANNELS, *manifest.contract.size))
        finally:
            engine.close()
        found |= {} if onnx is None else {"onnx": onnx}
        return PlanRecord(manifest.name, identity, sha256_hex(data), len(data), build, timing, found)


def _onnx_agreement(engine: Engine, bundle: Bundle) -> float | None:
    """Return the least agreement with ONNX Runtime on the golden frames, here and now; None where that is not installed.

    Raises:
        EngineError: When ONNX Runtime does not run the encoder, or they disagree.
    """
    if "onnx" not in installed_engines():
        return None
    from edgezsl.runtime.onnx_engine import OnnxEngine

    manifest, frames = bundle.manifest, bundle.golden().frames
    reference = OnnxEngine.open(bundle, engine.encoder)
    try:
        answers = (golden_embeddings(one, manifest.contract, frames) for one in (engine, reference))
        least = float(agreement(*answers).min())
    finally:
        reference.close()
    bound = {**LEAST_COSINE, **manifest.golden}[engine.encoder]
    if not least >= bound:
        message = f"the {engine.encoder} plan disagrees with ONNX Runtime on the golden frames: cosine {least:.5f}"
        raise EngineError(
            message, code="golden_mismatch", where=Place(str(bundle.folder)), expected=f"at least {bound}"
        )
    return least


def _timing(engine: Engine, shape: tuple[int, ...]) -> dict[str, float]:
    """Return how long frames take, at once as many as the profile is for: what a run pays with copies there and back."""
    return latency(engine, shape, warm_up=_WARM_UP, runs=_TIMED_RUNS) | {"frames": shape[0]}


def _loaded(plan: bytes, bundle: Bundle, precision: str) -> Engine:
    return engine_of_plan(plan, bundle, precision, file=f"the {precision} plan")
