"""What `doctor` says of the Python packages: each by itself, and which pair of them does not fit.

It judges what `doctor_child.py` met when it imported them together, as `edgezsl run` does.
"""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

from edgezsl.runtime.finding import Finding
from edgezsl.runtime.packages import CUDA_BINDINGS, PACKAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgezsl.device import Detection
    from edgezsl.runtime.doctor_probe import Clash, Outcome

_OF_THE_BOARD = {  # what JetPack brings: the package of apt
    "cv2": ("python3-opencv", "its OpenCV reads CSI cameras through GStreamer"),
    "tensorrt": ("python3-libnvinfer", "its TensorRT is the one of this board's driver"),
}
_JETPACK_EXTRAS = {"36": "jetpack6", "38": "jetpack7", "39": "jetpack7"}  # by the major version of Jetson Linux
_FOR_NUMPY_1 = re.compile(r"compiled using NumPy 1|_ARRAY_API|numpy\.core\.multiarray failed|numpy\.dtype size changed")
_FOR_NUMPY_2 = re.compile(
    r"numpy\._core|compiled against (?:ABI|API) version 0x2|NumPy 2\.\S+ (?:or newer )?is required"
)
_STATIC_TLS = re.compile(r"(\S+\.so[\w.]*): cannot allocate memory in static TLS block")
_CURES = (  # part of an import's error, and what helps
    ("libGL.so", "run: sudo apt install libgl1, or put opencv-python-headless in place of opencv-python"),
    (
        "libnvinfer",
        "its library is not found: install TensorRT of this version, or take that directory into LD_LIBRARY_PATH",
    ),
    (
        "libcudart",
        "CUDA's library is not found: install the CUDA that this package was built for, or its build for the CPU",
    ),
)


def package_finding(name: str, outcome: Outcome, detection: Detection | None, root: Path | None = None) -> Finding:
    """Return the finding for one package.

    Args:
        name: Its import name, one of `PACKAGES`.
        outcome: How its import went, alone where it fails beside others.
        detection: The board, or None where it is not known.
        root: Where `usr` lies, to look for what JetPack brings; None: nobody looks.
    """
    distributions, extra = PACKAGES[name]
    called = shown_step(name)
    if outcome.missing:
        return _missing(name, extra, detection, root)
    installed = [f"{one} {version}" for one in distributions if (version := installed_version(one))]
    if outcome.error:
        built_for = _other_numpy(outcome, installed_version("numpy"))
        cure = _numpy_cure(name, built_for, detection) if built_for else _cure(outcome.error, installed, distributions)
        return Finding(called, "broken", outcome.error, cure)
    detail = ", ".join(installed) or f"{outcome.version or 'no version'}, not from pip"
    if len(installed) > 1:
        hint = f"keep one of them: they overwrite each other's files; run: pip uninstall {installed[-1].split()[0]}"
        return Finding(called, "warning", detail, hint)
    return _hiding(name, outcome, detection, installed, detail) or Finding(called, "ok", detail)


def together_findings(
    outcomes: Mapping[str, Outcome], clashes: Sequence[Clash], detection: Detection | None
) -> tuple[Finding, ...]:
    """Return a finding for each pair of packages that does not fit, or one that all of them do.

    Args:
        outcomes: How each import went.
        clashes: What goes well alone and not after another.
        detection: The board, or None where it is not known.
    """
    version = outcomes["numpy"].version if "numpy" in outcomes else None
    with_numpy = [name for name in outcomes if name != "numpy" and _other_numpy(outcomes[name], version)]
    found = [_numpy_finding(name, outcomes, detection) for name in with_numpy if not name.startswith("engine:")]
    found += [_clash_finding(clash) for clash in clashes]
    if found:
        return tuple(found)
    names = [shown_step(name) for name in PACKAGES if name in outcomes and outcomes[name].works]
    return (Finding("together", "ok", f"{', '.join(names)} were imported in one process"),)


def installed_version(distribution: str) -> str | None:
    """Return the version of what pip knows by a name, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def board_copy(name: str, root: Path) -> Path | None:
    """Return the folder of the system's Python that holds a package, or None.

    Args:
        name: Its import name.
        root: Where `usr` lies.
    """
    places = [*(root / "usr/lib").glob(f"python3*/dist-packages/{name}*")]
    return min(places).parent if places else None


def shown_step(step: str) -> str:
    """Return what a step of the child process is called before people."""
    return PACKAGES[step][0][0] if step == CUDA_BINDINGS else step.replace("engine:", "engine ", 1)


def _missing(name: str, extra: str | None, detection: Detection | None, root: Path | None) -> Finding:
    called = shown_step(name)
    if extra is None:
        return Finding(
            called, "broken", "not installed, although edgezsl cannot do without it", "install edgezsl again"
        )
    hint: str | None = f"run: pip install 'edgezsl[{extra}]'"
    if detection and detection.l4t and name in _OF_THE_BOARD:
        apt = _OF_THE_BOARD[name][0]
        hint = f"run: sudo apt install {apt}, and use an environment made with --system-site-packages"
        copy = board_copy(name, root) if root else None
        if copy:
            detail = f"not seen from this environment; JetPack's lies in {copy}"
            return Finding(called, "missing", detail, "make it anew: python3 -m venv --system-site-packages DIR")
    elif detection and detection.l4t and name == CUDA_BINDINGS:
        ours = _JETPACK_EXTRAS.get(detection.l4t.partition(".")[0])
        hint = f"run: pip install 'edgezsl[{ours}]'" if ours else None  # another JetPack has none: see 'jetpack' above
    return Finding(called, "missing", f"not installed; the extra {extra!r} brings it", hint)


def _hiding(
    name: str, outcome: Outcome, detection: Detection | None, installed: Sequence[str], detail: str
) -> Finding | None:
    """Return the warning that what pip installed hides what JetPack brings, where it does."""
    places: list[str] = list(outcome.facts.get("places", ()))
    hidden = [place for place in places[1:] if "dist-packages" in place]
    if not (detection and detection.l4t and name in _OF_THE_BOARD and hidden and installed):
        return None
    why, pip = _OF_THE_BOARD[name][1], installed[0].split()[0]
    message = f"{detail} in {places[0]} hides JetPack's in {hidden[0]}: {why}"
    return Finding(shown_step(name), "warning", message, f"run: pip uninstall {pip}")


def _other_numpy(outcome: Outcome, version: str | None) -> int | None:
    """Return the major version of NumPy that a package was built for, by its own words, where it is not the one here."""
    said = f"{outcome.error or ''}\n{outcome.facts.get('said', '')}"
    built_for = 1 if _FOR_NUMPY_1.search(said) else 2 if _FOR_NUMPY_2.search(said) else None
    return None if (version or "").startswith(f"{built_for}.") else built_for


def _numpy_finding(name: str, outcomes: Mapping[str, Outcome], detection: Detection | None) -> Finding:
    outcome, numpy = outcomes[name], outcomes.get("numpy")
    version = numpy.version if numpy else ""
    built_for = _other_numpy(outcome, version)
    places: list[str] = list(numpy.facts.get("places", ())) if numpy else []
    hides = f", which hides the NumPy in {places[1]}" if len(places) > 1 else ""
    where = f" (from {places[0]}{hides})" if places else ""
    detail = f"{name} was built for NumPy {built_for} and meets NumPy {version or 'of another age'}{where}"
    called, cure = f"{name} with numpy", _numpy_cure(name, built_for, detection)
    if outcome.error:
        return Finding(called, "broken", detail, cure)
    return Finding(called, "warning", f"{detail}: it may crash", cure)


def _numpy_cure(name: str, built_for: int | None, detection: Detection | None) -> str:
    if built_for == 1:
        return "run: pip install 'numpy<2'"
    if detection and detection.l4t:  # JetPack's own packages want NumPy 1
        apt = f": sudo apt install {_OF_THE_BOARD[name][0]}" if name in _OF_THE_BOARD else ""
        return f"take one that was built for NumPy 1, as JetPack's packages are{apt}"
    return "run: pip install 'numpy>=2'"


def _clash_finding(clash: Clash) -> Finding:
    step, others = shown_step(clash.step), " and ".join(shown_step(one) for one in clash.after)
    detail = f"{step} works alone, but not after {others} in one process: {clash.error}"
    if clash.other_way:
        detail += f"; the other way round both work: {step} first"
    return Finding(f"{step} with {others}", "broken", detail, _clash_cure(clash))


def _clash_cure(clash: Clash) -> str:
    tls = _STATIC_TLS.search(clash.error)
    if tls:
        return f"start it with that library loaded first: LD_PRELOAD={tls[1]} edgezsl …"
    names = {one.replace("engine:", "") for one in (clash.step, *clash.after)}
    if "numpy" in names:
        return "install both again in versions that name each other: pip check"
    both = " or ".join(sorted(shown_step(one) for one in (clash.step, *clash.after)))
    return f"install another version of {both}: their libraries do not bear each other"


def _cure(error: str, installed: Sequence[str], distributions: Sequence[str]) -> str:
    cures = [cure for part, cure in _CURES if part in error]
    again = f"run: pip install --force-reinstall {installed[0].split()[0] if installed else distributions[0]}"
    return cures[0] if cures else again
