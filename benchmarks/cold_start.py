"""What a new process costs: imports, and the start of `edgezsl run` to its first answer: two parts of `pipeline.py`.

Disk and byte code are warm: each kind of process has run once before it is measured.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.runtime.engine import installed_engines

if TYPE_CHECKING:
    from report import Report

    from edgezsl.bundle import Bundle
    from edgezsl.prototypes import ClassPrototypes

IMPORT_SHARE = 1.2
SLOWEST_S = 1.0
MOST_MIB = 200
IMPORTS = {
    "import numpy": "import numpy",
    "import edgezsl": "import edgezsl",
    "import edgezsl, use ClassPrototypes": "import edgezsl; edgezsl.ClassPrototypes",
    "import edgezsl, use Recognizer and open_engine": "import edgezsl; edgezsl.Recognizer; edgezsl.open_engine",
}
SOURCE = "synthetic:?width=1280&height=720&fps=30"


def imports(report: Report, runs: int) -> None:
    """Time imports in new processes, in turns; the time is that of the statement, without the interpreter's start."""
    report.section(f"imports, {runs} new processes each")
    taken: dict[str, list[float]] = {what: [] for what in IMPORTS}
    for number in range(runs + 1):
        for what, statement in IMPORTS.items():
            program = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            if number:  # the first one warms the disk
                taken[what].append(float(done.stdout) * 1000)
    medians = {what: statistics.median(values) for what, values in taken.items()}
    for what, median in medians.items():
        report.add(what, median, "ms")
    share = medians["import edgezsl"] / medians["import numpy"]
    report.add("import edgezsl, times import numpy", share, most=IMPORT_SHARE)
    needed = medians["import edgezsl, use ClassPrototypes"] / medians["import numpy"]
    report.add("import edgezsl and use ClassPrototypes, times import numpy", needed)


@dataclass(frozen=True, slots=True)
class Start:
    """One start of `edgezsl run`.

    Attributes:
        first_s: From the start of the process to the line of its first answer.
        peak_mib: Its peak memory by then.
        child_mib: The peak memory of the child that embeds classes, or None where there is none.
    """

    first_s: float
    peak_mib: float
    child_mib: float | None


def starts(report: Report, bundle: Bundle, classes: ClassPrototypes, class_file: bytes, runs: int) -> None:
    """Start `edgezsl run` from a class pack and from a class file, with each engine, in turns."""
    report.section(f"start to first answer, {runs} new processes each, {SOURCE}")
    with tempfile.TemporaryDirectory(prefix="edgezsl-start-") as folder:
        pack, text = Path(folder) / "classes.safetensors", Path(folder) / "classes.yaml"
        classes.write(pack)
        text.write_bytes(class_file)
        kinds = [(engine, path) for path in (pack, text) for engine in installed_engines()]
        found: dict[tuple[str, Path], list[Start]] = {kind: [] for kind in kinds}
        for number in range(runs + 1):
            for engine, path in kinds:
                start = start_once(bundle.folder, path, engine)
                if number:
                    found[engine, path].append(start)
        for (engine, path), several in found.items():
            _add_starts(report, f"{engine}, {path.name}", several, barred=(engine, path) == ("onnx", pack))


def _add_starts(report: Report, what: str, several: list[Start], *, barred: bool) -> None:
    first = statistics.median(start.first_s for start in several)
    report.add(f"{what}: start to first answer", first, "s", most=SLOWEST_S if barred else None)
    peak = max(start.peak_mib for start in several)
    report.add(f"{what}: peak memory", peak, "MiB", most=MOST_MIB if barred else None)
    children = [start.child_mib for start in several if start.child_mib is not None]
    if children:
        report.add(f"{what}: peak memory of the embedding child", max(children), "MiB")


def start_once(bundle: Path, classes: Path, engine: str) -> Start:
    """Start `edgezsl run`, wait for its first answer, and end it."""
    command = [sys.executable, "-m", "edgezsl", "run", "--source", SOURCE, "--bundle", str(bundle)]
    options = ["--classes", str(classes), "--engine", engine, "--jsonl", "-"]
    start = time.perf_counter()
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if json.loads(line)["type"] == "recognition":
                break
        first_s = time.perf_counter() - start
        if process.poll() is not None:
            sys.exit(f"edgezsl run ended before its first answer: {process.stderr.read().decode()}")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        children = children or _children_of_threads(process.pid)
        measured = Start(first_s, peak_mib(process.pid), max(map(peak_mib, map(int, children)), default=None))
        process.terminate()
        process.stdout.read()
    return measured


def _children_of_threads(pid: int) -> list[str]:
    """Return the process ids of the children that any thread of a process has started."""
    return [
        child
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text(encoding="ascii").split()
    ]


def peak_mib(pid: int) -> float:
    """Return the largest resident memory that a process has had so far, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
