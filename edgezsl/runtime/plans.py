"""Where TensorRT plans lie, and which of them may be used.

`<plans>/<bundle digest>/<identity>.plan`, and beside it `.json`, the sidecar (docs/bundle-format.md). A plan is trusted
native code: it is taken only where it, its sidecar and both folders belong to root or the running user and their owner alone
may write them, where it fits this machine and this bundle, and where its length and digest are the sidecar's, all of it
before anybody loads it. Who owns the folders above is not looked at. Every refusal is an `EngineError`, so that `run`
says it and goes on with another engine. TensorRT itself is not needed here.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from edgezsl.errors import EngineError, InputError, Place
from edgezsl.files import write_durably
from edgezsl.records import canonical_json, parse_json, sha256_hex
from edgezsl.runtime.plan_record import PlanIdentity, PlanRecord
from edgezsl.runtime.trusted_file import check_trusted, read_trusted, refused_plan, written_by_us_alone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgezsl.bundle import Bundle
    from edgezsl.runtime.plan_record import Machine

SYSTEM_PLANS = Path("/var/lib/edgezsl/plans")
PLANS_VARIABLE = "EDGEZSL_PLANS"
LARGEST_PLAN = 4 << 30  # bytes
LARGEST_SIDECAR = 64 << 10  # bytes
_STALE, _FOREIGN = "stale_plan", "foreign_plan"


def plans_folder(
    asked: Path | None = None, *, environment: Mapping[str, str] = os.environ, system: Path = SYSTEM_PLANS
) -> Path:
    """Return where plans lie: for `compile`, `run` and the service alike.

    Args:
        asked: What `--plans` says, or None.
        environment: Gives `EDGEZSL_PLANS`, `XDG_CACHE_HOME` and `HOME`.
        system: The folder for the whole machine, taken where it can be written.

    Raises:
        InputError: When nothing says where, and the running user has no home.
    """
    given = asked or environment.get(PLANS_VARIABLE)
    if given:
        return Path(given).absolute()
    if _may_write(system):
        return system
    cache = Path(environment.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():  # which the specification of the variable asks to overlook
        try:
            cache = Path(environment.get("HOME") or Path.home()) / ".cache"
        except RuntimeError as cause:
            message = f"there is no place for TensorRT plans: {system} cannot be written, and this user has no home"
            hint = f"give one: --plans DIR, or {PLANS_VARIABLE}"
            raise InputError(message, code="no_place", hint=hint) from cause
    return cache / "edgezsl" / "plans"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan on disk that fits, not read yet.

    Attributes:
        path: The plan.
        record: Its sidecar.
        command: What builds it anew.
    """

    path: Path
    record: PlanRecord
    command: str

    def read(self) -> bytes:
        """Return the plan, checked: these are the bytes to load.

        Raises:
            EngineError: When it is absent, cut off, altered, or could have been written by somebody else.
        """
        called = f"the {self.record.identity.precision} plan"
        check_trusted(self.path, self.command)
        length, wanted = self.path.lstat().st_size, self.record.bytes
        if length != wanted or wanted > LARGEST_PLAN:
            message = f"{called} has {length:,} bytes, its sidecar says {wanted:,}"
            expected = f"at most {LARGEST_PLAN:,}" if length == wanted else None
            raise refused_plan(message, "truncated_plan", self.path, self.command, expected)
        data = read_trusted(self.path, self.command, max_bytes=wanted)
        if sha256_hex(data) != self.record.sha256:
            message = f"{called} has been altered: its digest is not the one in its sidecar"
            raise refused_plan(message, "altered_plan", self.path, self.command)
        return data


class PlanStore:
    """The plans below one folder.

    Args:
        root: As `plans_folder` gives it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = (
            root.resolve()
        )  # once: a link to the store is the user's own choice, one inside it somebody's trick

    def folder(self, bundle: Bundle) -> Path:
        """Return where the plans of a bundle lie."""
        return self._real / bundle.digest

    def command(self, bundle: Bundle, precision: str | None = None) -> str:
        """Return what a person types to build a plan into this store."""
        words = ["edgezsl", "compile", str(bundle.folder)]
        words += ["--precision", precision] if precision else []
        words += [] if self.root == plans_folder() else ["--plans", str(self.root)]
        return " ".join(map(quote, words))

    def prepare(self, bundle: Bundle) -> None:
        """Make the folder of a bundle's plans, and try to write there: before anybody waits for a plan.

        Raises:
            InputError: When nothing can be written there.
            EngineError: When others may write there.
        """
        folder = self.folder(bundle)
        try:
            with written_by_us_alone():
                folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as cause:
            raise _not_writable(cause, folder) from cause
        self._check_folders(bundle)

    def write(self, bundle: Bundle, record: PlanRecord, plan: bytes) -> StoredPlan:
        """Write a plan and its sidecar, each whole or not at all; the sidecar, which makes it known, last.

        Raises:
            InputError: When nothing can be written there.
            EngineError: When others may write there.
        """
        self.prepare(bundle)
        sidecar = self._sidecar(bundle, record.identity)
        path = sidecar.with_suffix(".plan")
        try:
            sidecar.unlink(missing_ok=True)  # an older one must not speak for the new plan
            with written_by_us_alone():
                write_durably(path, plan)
                write_durably(sidecar, canonical_json(record.to_json()))
        except OSError as cause:
            raise _not_writable(cause, path) from cause
        return StoredPlan(path, record, self.command(bundle, record.identity.precision))

    def find(self, bundle: Bundle, identity: PlanIdentity) -> StoredPlan | None:
        """Return the plan of exactly this identity, or None where there is none that may be used.

        Its bytes are not read yet: `StoredPlan.read` may still refuse them.
        """
        sidecar = self._sidecar(bundle, identity)
        try:
            self._check_folders(bundle)
            return self._stored(bundle, sidecar)
        except (EngineError, OSError):
            return None

    def select(self, bundle: Bundle, identity: PlanIdentity) -> None:
        """Mark a plan as the one that runs when no precision is asked for, and no other of this machine.

        Raises:
            InputError: When nothing can be written there.
        """
        stored, _ = self._every(bundle)
        mine = [one for one in stored if one.record.identity.machine == identity.machine]
        # What was chosen goes first: two that are marked would leave it to chance which one runs.
        for plan in sorted(mine, key=lambda one: one.record.identity == identity):
            chosen = plan.record.identity == identity
            if plan.record.selected != chosen:
                record = replace(plan.record, selected=chosen)
                path = plan.path.with_suffix(".json")
                try:
                    with written_by_us_alone():
                        write_durably(path, canonical_json(record.to_json()))
                except OSError as cause:
                    raise _not_writable(cause, path) from cause

    def choose(self, bundle: Bundle, machine: Machine, precision: str | None = None) -> StoredPlan:
        """Return the plan to run.

        Args:
            bundle: The bundle.
            machine: This machine.
            precision: The one asked for, or None for what the last `edgezsl compile` selected.

        Raises:
            EngineError: When there is none that fits this machine and this bundle, saying what differs; or the place is
                one where others may write.
            InputError: When the bundle has no image encoder of that precision.
        """
        if precision is not None:
            PlanIdentity.of(bundle, machine, precision)
        if not self._is_there(bundle):
            raise self._none(bundle, precision)
        self._check_folders(bundle)
        stored, faults = self._every(bundle)
        differing = {one.path: _differences(one.record, bundle, machine) for one in stored}
        fitting = [one for one in stored if not differing[one.path]]
        for plan in fitting:
            if plan.record.selected if precision is None else plan.record.identity.precision == precision:
                return plan
        if faults:
            raise faults[0]
        if fitting:
            raise self._none(bundle, precision, [one.record.identity.precision for one in fitting])
        asked = [one for one in stored if precision in {None, one.record.identity.precision}]
        if not asked:
            raise self._none(bundle, precision)
        nearest = min(asked, key=lambda one: (not one.record.selected, len(differing[one.path])))
        raise _unfit(nearest, differing[nearest.path])

    def _sidecar(self, bundle: Bundle, identity: PlanIdentity) -> Path:
        return self.folder(bundle) / f"{identity.digest}.json"

    def _every(self, bundle: Bundle) -> tuple[list[StoredPlan], list[EngineError]]:
        """Return the plans of a bundle, and what is wrong with the sidecars that say nothing."""
        every = [self._stored_or_fault(bundle, path) for path in sorted(self.folder(bundle).glob("*.json"))]
        stored = [one for one in every if isinstance(one, StoredPlan)]
        return stored, [one for one in every if isinstance(one, EngineError)]

    def _stored_or_fault(self, bundle: Bundle, sidecar: Path) -> StoredPlan | EngineError:
        try:
            return self._stored(bundle, sidecar)
        except EngineError as fault:
            return fault

    def _stored(self, bundle: Bundle, sidecar: Path) -> StoredPlan:
        command = self.command(bundle)
        data = read_trusted(sidecar, command, max_bytes=LARGEST_SIDECAR)
        try:
            value = parse_json(data, file=str(sidecar), error=InputError, max_bytes=LARGEST_SIDECAR)
            record = PlanRecord.from_json(value, file=str(sidecar))
        except InputError as fault:
            message = f"the sidecar of a plan is damaged: {fault.message}"
            raise refused_plan(message, "damaged_sidecar", sidecar, command, fault.expected) from fault
        if sidecar.stem != record.identity.digest:
            message = "the sidecar of a plan is damaged: its name is not the digest of the identity in it"
            raise refused_plan(message, "damaged_sidecar", sidecar, command)
        return StoredPlan(sidecar.with_suffix(".plan"), record, self.command(bundle, record.identity.precision))

    def _is_there(self, bundle: Bundle) -> bool:
        """Return whether plans of a bundle lie here.

        Raises:
            EngineError: When that cannot be looked at, as where the store is a service's own.
        """
        try:
            return stat.S_ISDIR(self.folder(bundle).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as cause:
            message = f"the TensorRT plans cannot be looked at ({cause.strerror})"
            raise refused_plan(message, "unreadable_plan", self.root, self.command(bundle)) from cause

    def _check_folders(self, bundle: Bundle) -> None:
        for folder in (self._real, self.folder(bundle)):
            check_trusted(folder, self.command(bundle), folder=True)

    def _none(self, bundle: Bundle, precision: str | None, others: list[str] | None = None) -> EngineError:
        name, command = bundle.manifest.name, self.command(bundle, precision)
        wanted = f"{precision} " if precision else ""
        message = f"there is no {wanted}TensorRT plan of {name!r} for this machine"
        if others:
            known = " and ".join(sorted(others))
            message += f", but one in {known}" if precision else f" that was selected, but one in {known}"
        elif self._earlier(bundle):
            message = f"the TensorRT plans of {name!r} here were built from an earlier export of it"
            return refused_plan(message, _STALE, self.root, command)
        else:
            message += f": edgezsl compile builds {' and '.join(self._built_of(bundle, precision))} for its GPU"
            message += "" if precision else ", and keeps the fastest that says what the bundle says"
        return refused_plan(message, "no_plan", self.root, command)

    @staticmethod
    def _built_of(bundle: Bundle, precision: str | None) -> list[str]:
        return [precision] if precision else [one for one in bundle.manifest.image_encoders if one != "int8_dynamic"]

    def _earlier(self, bundle: Bundle) -> bool:
        """Return whether plans of another bundle of the same name lie here."""
        others = (path for path in self.root.glob("*/*.json") if path.parent != self.folder(bundle))
        stored = (self._stored_or_fault(bundle, path) for path in others)
        return any(isinstance(one, StoredPlan) and one.record.bundle == bundle.manifest.name for one in stored)


def _differences(record: PlanRecord, bundle: Bundle, machine: Machine) -> dict[str, str]:
    identity = record.identity
    try:
        here = PlanIdentity.of(bundle, machine, identity.precision)
    except InputError:
        return {"precision": f"precision {identity.precision}, which the bundle does not hold"}
    return identity.differences(here)


def _unfit(plan: StoredPlan, differences: Mapping[str, str]) -> EngineError:
    called, said = f"the {plan.record.identity.precision} plan", "; ".join(differences.values())
    if set(differences) & {"onnx_sha256", "batch", "precision"}:
        message, code = f"{called} was built from another image encoder than the bundle's: {said}", _STALE
    elif set(differences) == {"tensorrt"}:
        message, code = f"{called} was built with another version: {said}", _STALE
    else:
        message, code = f"{called} was built on another machine: {said}", _FOREIGN
    return refused_plan(message, code, plan.path, plan.command)


def _not_writable(cause: OSError, path: Path) -> InputError:
    message = f"the TensorRT plan cannot be written ({cause.strerror})"
    return InputError(message, code="not_writable", where=Place(str(path)), hint="choose another place with --plans")


def _may_write(folder: Path) -> bool:
    # os.path answers where pathlib raises: what may not be looked at may not be written either.
    standing = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    return os.path.isdir(standing) and os.access(  # noqa: PTH112  # as above
        standing, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
    )
