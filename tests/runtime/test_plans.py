"""Plans on disk: where they lie, which one is taken, and each way in which one is refused before anybody loads it."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from edgezsl.errors import EngineError, InputError
from edgezsl.manifest import Batch
from edgezsl.records import canonical_json, sha256_hex
from edgezsl.runtime.plan_record import Machine, PlanBuild, PlanIdentity, PlanRecord
from edgezsl.runtime.plans import PLANS_VARIABLE, PlanStore, plans_folder
from tests.factories import write_small_bundle

# An AGX Orin's 16 SMs and an Orin Nano's 8 are of one name and one compute capability.
NANO = Machine("10.3.0", "Orin", "8.7", 8, "12.6", "36.4.3")
AGX = replace(NANO, sm_count=16)
PLAN = b"a plan of TensorRT " * 100
ANYBODY = 12345  # a user that this machine does not have


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle of two precisions."""
    encoders = {"fp16": "image_encoder.fp16.onnx", "int8": "image_encoder.int8.onnx"}
    return write_small_bundle(tmp_path_factory.mktemp("plans") / "colours", precision="fp16", image_encoders=encoders)


@pytest.fixture
def store(tmp_path):
    return PlanStore(tmp_path / "plans")


def record(bundle, precision="fp16", *, machine=NANO, data=PLAN, **changes):
    identity = PlanIdentity.of(bundle, machine, precision)
    build = PlanBuild(512, 3, "", 41.5, {"FP16": 40, "INT8": 2})
    timing, agreement = {"p50_ms": 2.5, "p95_ms": 2.75, "runs": 100}, {"golden": 0.99991}
    return replace(PlanRecord("colours", identity, sha256_hex(data), len(data), build, timing, agreement), **changes)


def written(store, bundle, precision="fp16", *, selected=True, **changes):
    return store.write(bundle, record(bundle, precision, selected=selected, **changes), PLAN)


def sidecar(plan):
    return plan.path.with_suffix(".json")


def command(store, bundle, *more):
    return " ".join(["edgezsl compile", str(bundle.folder), *more, "--plans", str(store.root)])


def refusal(store, bundle, machine=NANO, precision=None):
    """Return what is said instead of a plan: one sentence with what to run, and the code."""
    with pytest.raises(EngineError) as caught:
        store.choose(bundle, machine, precision).read()
    assert "\n" not in str(caught.value)
    assert "edgezsl compile" in caught.value.hint
    return str(caught.value), caught.value.code


def test_what_was_written_is_what_is_read(store, bundle):
    plan = written(store, bundle)
    chosen = store.choose(bundle, NANO)
    assert chosen.read() == PLAN
    assert chosen.record == plan.record
    assert chosen.path == store.root / bundle.digest / f"{plan.record.identity.digest}.plan"


@pytest.mark.parametrize("mask", [0o002, 0o000, 0o077])
def test_nobody_else_may_write_what_is_written(store, bundle, mask):
    before = os.umask(mask)
    try:
        plan = written(store, bundle)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    for path in (plan.path, sidecar(plan), plan.path.parent, store.root):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022, path
    assert store.choose(bundle, NANO).read() == PLAN
    assert sorted(path.name for path in plan.path.parent.iterdir()) == sorted([plan.path.name, sidecar(plan).name])


def test_the_sidecar_says_everything_in_clear(store, bundle):
    value = json.loads(sidecar(written(store, bundle)).read_bytes())
    manifest = bundle.manifest
    assert value == {
        "format": "edgezsl-plan/1",
        "bundle": "colours",
        "identity": {
            "onnx_sha256": manifest.files["image_encoder.fp16.onnx"].sha256,
            "machine": {
                "tensorrt": "10.3.0",
                "gpu": "Orin",
                "compute_capability": "8.7",
                "sm_count": 8,
                "cuda_driver": "12.6",
                "l4t": "36.4.3",
            },
            "precision": "fp16",
            "batch": {"min": 1, "opt": 1, "max": 8},
        },
        "sha256": sha256_hex(PLAN),
        "bytes": len(PLAN),
        "build": {
            "workspace_mib": 512,
            "optimization_level": 3,
            "timing_cache": "",
            "seconds": 41.5,
            "layers": {"FP16": 40, "INT8": 2},
        },
        "timing": {"p50_ms": 2.5, "p95_ms": 2.75, "runs": 100},
        "agreement": {"golden": 0.99991},
        "selected": True,
    }
    assert PlanRecord.from_json(value, file="x").to_json() == value


@pytest.mark.parametrize(
    "change",
    [
        *({"machine": replace(NANO, **{name: value})} for name, value in {
            "tensorrt": "10.3.1", "gpu": "Thor", "compute_capability": "8.6", "sm_count": 16, "cuda_driver": "12.8", "l4t": "36.5.0"
        }.items()),
        {"onnx_sha256": "0" * 64},
        {"precision": "int8"},
        {"batch": Batch(1, 1, 4)},
    ],
)  # fmt: skip
def test_everything_of_an_identity_changes_its_digest(bundle, change):
    identity = PlanIdentity.of(bundle, NANO, "fp16")
    assert replace(identity, **change).digest != identity.digest
    assert len(identity.differences(replace(identity, **change))) == 1


def test_workspace_timing_cache_and_level_are_no_part_of_the_identity(store, bundle):
    first = written(store, bundle)
    again = written(store, bundle, build=PlanBuild(64, 5, "cache", 1.0, {}))
    assert again.path == first.path
    assert store.choose(bundle, NANO).record.build.workspace_mib == 64


def test_the_selected_plan_runs_unless_a_precision_is_asked_for(store, bundle):
    written(store, bundle, "fp16", selected=False)
    written(store, bundle, "int8", selected=False)
    other = written(store, bundle, "fp16", machine=AGX)
    store.select(bundle, PlanIdentity.of(bundle, NANO, "int8"))
    assert store.choose(bundle, NANO).record.identity.precision == "int8"
    assert store.choose(bundle, NANO, "fp16").record.identity.precision == "fp16"
    store.select(bundle, PlanIdentity.of(bundle, NANO, "fp16"))
    assert store.choose(bundle, NANO).record.identity.precision == "fp16"
    every = [json.loads(path.read_bytes()) for path in (store.root / bundle.digest).glob("*.json")]
    assert sorted(one["selected"] for one in every if one["identity"]["machine"]["sm_count"] == 8) == [False, True]
    assert store.choose(bundle, AGX).record == other.record  # what another machine chose is its own


def test_no_plan_is_said_with_what_builds_one(store, bundle):
    text = (
        f"{store.root}: there is no TensorRT plan of 'colours' for this machine: edgezsl compile builds fp16 and int8 for its "
        f"GPU, and keeps the fastest that says what the bundle says; run: {command(store, bundle)}"
    )
    assert refusal(store, bundle) == (text, "no_plan")
    store.prepare(bundle)
    assert refusal(store, bundle) == (text, "no_plan")
    said, _ = refusal(store, bundle, precision="int8")
    assert said == (
        f"{store.root}: there is no int8 TensorRT plan of 'colours' for this machine: edgezsl compile builds int8 for its GPU; "
        f"run: {command(store, bundle, '--precision', 'int8')}"
    )


def test_a_plan_of_another_precision_or_one_that_was_not_selected_is_named(store, bundle):
    written(store, bundle, "fp16", selected=False)
    said, code = refusal(store, bundle, precision="int8")
    assert ("there is no int8 TensorRT plan of 'colours' for this machine, but one in fp16; run:" in said, code) == (
        True,
        "no_plan",
    )
    assert "for this machine that was selected, but one in fp16; run:" in refusal(store, bundle)[0]


def test_a_precision_that_the_bundle_does_not_hold_is_an_input_error(store, bundle):
    with pytest.raises(InputError) as caught:
        store.choose(bundle, NANO, "int8_fp16")
    assert str(caught.value).startswith("the bundle 'colours' has no int8_fp16 encoder, expected fp16 or int8")


def test_the_plan_of_another_board_is_refused_though_both_are_8_7(store, bundle):
    plan = written(store, bundle, machine=AGX)
    run, said = command(store, bundle, "--precision", "fp16"), "the fp16 plan was built on another machine"
    assert refusal(store, bundle) == (f"{plan.path}: {said}: number of SMs 16, here 8; run: {run}", "foreign_plan")


def test_everything_that_differs_is_named(store, bundle):
    written(store, bundle, machine=Machine("10.13.3", "Thor", "11.0", 20, "13.0", ""))
    said, code = refusal(store, bundle)
    assert code == "foreign_plan"
    assert (
        "on another machine: TensorRT 10.13.3, here 10.3.0; GPU Thor, here Orin; compute capability 11.0, here 8.7; "
        "number of SMs 20, here 8; CUDA driver 13.0, here 12.6; Jetson Linux (L4T) none, here 36.4.3;"
    ) in said


def test_the_plan_of_another_tensorrt_is_refused(store, bundle):
    plan = written(store, bundle)
    said, code = refusal(store, bundle, replace(NANO, tensorrt="10.13.3"))
    assert code == "stale_plan"
    assert said.startswith(
        f"{plan.path}: the fp16 plan was built with another version: TensorRT 10.3.0, here 10.13.3; run:"
    )


def test_the_plan_of_another_image_encoder_is_refused(store, bundle):
    stale = replace(PlanIdentity.of(bundle, NANO, "fp16"), onnx_sha256="ab" * 32)
    written(store, bundle, identity=stale)
    said, code = refusal(store, bundle)
    ours = bundle.manifest.files["image_encoder.fp16.onnx"].sha256[:12]
    assert code == "stale_plan"
    assert f"another image encoder than the bundle's: SHA-256 of the image encoder abababababab, here {ours};" in said


def test_the_plans_of_an_earlier_export_are_named(store, bundle, tmp_path):
    written(store, bundle)
    later = write_small_bundle(tmp_path / "later", seen_classes=("red",))
    said, code = refusal(store, later)
    assert code == "stale_plan"
    assert "the TensorRT plans of 'colours' here were built from an earlier export of it; run:" in said


@pytest.mark.parametrize("kept", [0, 1, len(PLAN) - 1])
def test_a_plan_that_is_cut_off_is_refused(store, bundle, kept):
    plan = written(store, bundle)
    os.truncate(plan.path, kept)
    run, said = command(store, bundle, "--precision", "fp16"), f"the fp16 plan has {kept:,} bytes"
    assert refusal(store, bundle) == (
        f"{plan.path}: {said}, its sidecar says {len(PLAN):,}; run: {run}",
        "truncated_plan",
    )


@pytest.mark.parametrize("at", [0, 700, len(PLAN) - 1])
def test_a_plan_of_which_one_bit_changed_is_refused(store, bundle, at):
    plan = written(store, bundle)
    data = bytearray(PLAN)
    data[at] ^= 1
    plan.path.write_bytes(data)
    said, code = refusal(store, bundle)
    assert code == "altered_plan"
    assert said.startswith(
        f"{plan.path}: the fp16 plan has been altered: its digest is not the one in its sidecar; run:"
    )


def test_a_plan_that_is_gone_is_refused(store, bundle):
    plan = written(store, bundle)
    plan.path.unlink()
    said, code = refusal(store, bundle)
    assert code == "no_plan"
    assert said.startswith(f"{plan.path}: this cannot be read (No such file or directory); run:")


def test_a_plan_larger_than_any_is_not_read(store, bundle):
    plan = written(store, bundle, bytes=5 << 30)
    os.truncate(plan.path, 5 << 30)  # of holes
    said, code = refusal(store, bundle)
    assert code == "truncated_plan"
    assert "has 5,368,709,120 bytes, its sidecar says 5,368,709,120, expected at most 4,294,967,296;" in said


@pytest.mark.parametrize("what", ["plan", "sidecar", "folder", "root"])
@pytest.mark.parametrize(("mode", "who"), [(0o020, "its group"), (0o002, "everybody")])
def test_what_others_may_write_is_refused(store, bundle, what, mode, who):
    plan = written(store, bundle)
    path = {"plan": plan.path, "sidecar": sidecar(plan), "folder": plan.path.parent, "root": store.root}[what]
    path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)
    said, code = refusal(store, bundle)
    assert code == "untrusted_plan"
    number = f"{stat.S_IMODE(path.stat().st_mode):04o}"
    assert said.startswith(f"{path}: this may be written by {who} (mode {number}), and a plan is native code, expected")
    assert f"run: chmod go-w {path} && edgezsl compile {bundle.folder}" in said
    assert said.endswith(" --force")  # whoever could write the plan could write its sidecar


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("what", ["plan", "sidecar", "folder", "root"])
def test_what_belongs_to_somebody_else_is_refused(store, bundle, what):
    plan = written(store, bundle)
    path = {"plan": plan.path, "sidecar": sidecar(plan), "folder": plan.path.parent, "root": store.root}[what]
    os.chown(path, ANYBODY, -1)
    said, code = refusal(store, bundle)
    assert code == "untrusted_plan"
    assert said.startswith(
        f"{path}: this belongs to the user {ANYBODY}, and a plan is native code, expected root; run:"
    )


@pytest.mark.parametrize("what", ["plan", "sidecar", "folder"])
def test_a_symbolic_link_is_not_followed(store, bundle, tmp_path, what):
    plan = written(store, bundle)
    path = {"plan": plan.path, "sidecar": sidecar(plan), "folder": plan.path.parent}[what]
    elsewhere = tmp_path / f"elsewhere{path.suffix}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    said, code = refusal(store, bundle)
    assert code == "untrusted_plan"
    assert said.startswith(f"{path}: this is a symbolic link, and a plan is native code, expected a ")


def test_the_store_itself_may_be_a_link(store, bundle, tmp_path):
    written(store, bundle)
    (tmp_path / "link").symlink_to(store.root)
    assert PlanStore(tmp_path / "link").choose(bundle, NANO).read() == PLAN


def test_a_pipe_in_the_place_of_a_plan_blocks_nobody(store, bundle):
    plan = written(store, bundle)
    plan.path.unlink()
    os.mkfifo(plan.path)
    assert f"{plan.path}: this is not a regular file, and a plan is native code" in refusal(store, bundle)[0]


def damaged(value, **changes):
    return canonical_json({**value, **changes})


SIDECARS = {
    "empty": (lambda _: b"", "this is not JSON"),
    "cut_off": (lambda value: canonical_json(value)[:-9], "this is not JSON"),
    "a_list": (lambda _: b"[]", "[] is not an object"),
    "unknown_key": (lambda value: damaged(value, more=1), "the field 'more' is unknown to this version"),
    "later_format": (lambda value: damaged(value, format="edgezsl-plan/2"), "'edgezsl-plan/2' is unknown"),
    "no_digest": (lambda value: damaged(value, sha256="x"), "the digest 'x'"),
    "wrong_batch": (
        lambda value: damaged(value, identity={**value["identity"], "batch": {"min": 2, "opt": 1, "max": 1}}),
        "the batch is 2:1:1",
    ),
    "other_identity": (
        lambda value: damaged(value, identity={**value["identity"], "precision": "int8"}),
        "its name is not the digest of the identity in it",
    ),
    "too_large": (lambda value: damaged(value, bundle="x" * 70_000), "the file is too large"),
}


@pytest.mark.parametrize("name", SIDECARS)
def test_a_damaged_sidecar_is_refused(store, bundle, name):
    change, words = SIDECARS[name]
    path = sidecar(written(store, bundle))
    path.write_bytes(change(json.loads(path.read_bytes())))
    said, code = refusal(store, bundle)
    assert code == ("unreadable_plan" if name == "too_large" else "damaged_sidecar")
    assert said.startswith(str(path))
    assert words in said


def test_a_damaged_sidecar_does_not_hide_a_plan_that_fits(store, bundle):
    written(store, bundle)
    (store.root / bundle.digest / "0.json").write_bytes(b"{")
    assert store.choose(bundle, NANO).read() == PLAN


def test_an_older_sidecar_never_speaks_for_another_plan(store, bundle):
    plan = written(store, bundle)
    plan.path.unlink()
    plan.path.mkdir()  # so that the new plan cannot be written
    with pytest.raises(InputError) as caught:
        written(store, bundle)
    assert caught.value.code == "not_writable"
    assert not sidecar(plan).exists()
    assert refusal(store, bundle)[1] == "no_plan"


def test_find_returns_nothing_of_what_may_not_be_used(store, bundle):
    identity = PlanIdentity.of(bundle, NANO, "fp16")
    assert store.find(bundle, identity) is None
    plan = written(store, bundle)
    assert store.find(bundle, identity).record == plan.record
    assert store.find(bundle, replace(identity, machine=AGX)) is None
    sidecar(plan).chmod(0o666)
    assert store.find(bundle, identity) is None


def test_a_place_that_cannot_be_written_is_said_before_anything_is_built(bundle, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        PlanStore(tmp_path / "file" / "plans").prepare(bundle)
    assert caught.value.code == "not_writable"
    assert caught.value.hint == "choose another place with --plans"


def test_a_place_where_others_may_write_is_refused_before_anything_is_built(store, bundle):
    store.root.mkdir()
    store.root.chmod(0o777)
    with pytest.raises(EngineError, match=re.escape(f"run: chmod go-w {store.root} && ")):
        store.prepare(bundle)


def test_the_place_is_what_was_asked_for_else_the_variable_else_the_systems_else_the_cache(tmp_path):
    system, home = tmp_path / "var" / "plans", tmp_path / "home"
    environment = {PLANS_VARIABLE: "/of/variable", "HOME": str(home)}
    assert plans_folder(Path("/asked"), environment=environment, system=system) == Path("/asked")
    assert plans_folder(environment=environment, system=system) == Path("/of/variable")
    del environment[PLANS_VARIABLE]
    assert plans_folder(environment=environment, system=system) == system
    (tmp_path / "file").write_bytes(b"")
    locked = tmp_path / "file" / "plans"  # where nobody can write, not even root
    assert plans_folder(environment=environment, system=locked) == home / ".cache/edgezsl/plans"
    environment["XDG_CACHE_HOME"] = "relative"
    assert plans_folder(environment=environment, system=locked) == home / ".cache/edgezsl/plans"
    environment["XDG_CACHE_HOME"] = "/caches"
    assert plans_folder(environment=environment, system=locked) == Path("/caches/edgezsl/plans")


def test_the_hint_leaves_out_the_usual_place(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv(PLANS_VARIABLE, str(tmp_path / "plans"))
    assert PlanStore(plans_folder()).command(bundle) == f"edgezsl compile {bundle.folder}"


def test_a_place_that_may_not_be_looked_at_is_no_place_of_ours(bundle, tmp_path, monkeypatch):
    """As any user but the service's own finds /var/lib/edgezsl; root, who runs these tests, may look anywhere."""
    closed = tmp_path / "closed"

    def refusing(real):
        def look(path, *arguments, **options):
            if Path(path) != closed and closed in Path(path).parents:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *arguments, **options)

        return look

    closed.mkdir()
    monkeypatch.setattr(os, "stat", refusing(os.stat))
    monkeypatch.setattr(os, "lstat", refusing(os.lstat))
    with pytest.raises(EngineError) as caught:
        PlanStore(closed / "plans").choose(bundle, AGX)
    assert caught.value.code == "unreadable_plan"
    assert "cannot be looked at (Permission denied)" in caught.value.message
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    cache = plans_folder(environment={"XDG_CACHE_HOME": str(tmp_path / "cache")}, system=closed / "lib" / "plans")
    assert cache == tmp_path / "cache" / "edgezsl" / "plans"
