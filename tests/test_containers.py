"""The container files: what they stand on, what they copy, who runs in them; and their lines of pip, run for real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgezsl.catalogue import catalogue_folder
from edgezsl.device import load_profile
from edgezsl.provision import SCRIPT, provision

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((catalogue_folder("devices") / "containers").glob("Containerfile.*"))
FULL_NAME = re.compile(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9/_-]+:(?!latest$)[A-Za-z0-9._-]+")
ON_A_CPU = "cpu"


def instructions(path):
    """Return each instruction of a container file as its word and the rest, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in joined.splitlines()]


def of(path, word):
    return [rest for found, rest in instructions(path) if found == word]


def test_there_is_a_file_for_each_jetpack_for_x86_and_for_a_cpu():
    assert {path.name.partition(".")[2] for path in FILES} == {"jetpack6", "jetpack7", "x86-nvidia", ON_A_CPU}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_container_stands_on_a_named_release_and_says_whose_and_that_it_was_not_built(path):
    (base,) = of(path, "FROM")
    assert FULL_NAME.fullmatch(base), "registry, name and tag"
    head = path.read_text().partition("\nFROM ")[0]
    assert "# Base: " in head
    assert "# Built: no" in head


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_container_runs_as_a_user_of_its_own(path):
    words = [word for word, _ in instructions(path)]
    assert of(path, "USER") == ["edgezsl"]
    assert not {"RUN", "COPY", "ADD"} & set(words[words.index("USER") :]), "nothing is installed as that user"
    assert of(path, "ENTRYPOINT") == ['["edgezsl"]']
    assert "/etc/edgezsl/classes.yaml" in of(path, "CMD")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_container_copies_what_is_there_and_fetches_by_apt_and_pip_alone(path):
    for rest in of(path, "COPY"):
        for source in rest.split()[:-1]:
            assert source.startswith("dist/edgezsl-") or (ROOT / source).is_file(), source
    assert not of(path, "ADD")
    text = "\n".join(of(path, "RUN"))
    assert not re.search(r"\b(curl|wget|git)\b|https?://", text)
    assert "--constraint" in text


@pytest.mark.parametrize("name", ["jetpack6", "jetpack7"])
def test_a_container_of_a_jetson_takes_what_jetpack_brings(name):
    path = catalogue_folder("devices") / "containers" / f"Containerfile.{name}"
    text = "\n".join(of(path, "RUN"))
    assert "--system-site-packages" in text
    assert f"constraints-{name}.txt" in text
    assert f"[{name}]" in text
    assert "python3-opencv" in text
    for mount in (
        "--runtime nvidia",
        "/tmp/argus_socket",  # noqa: S108  # the camera daemon's own
        "/dev/video0",
        "EDGEZSL_DEVICE",
        "/etc/nv_tegra_release",
    ):
        assert mount in path.read_text()


@pytest.mark.parametrize(
    ("name", "board", "jetpack"),
    [
        ("jetpack6", "jetson-orin-nano", "6"),
        ("jetpack7", "jetson-thor", "7"),
        ("x86-nvidia", "x86-nvidia", None),
        (ON_A_CPU, "x86-cpu", None),
    ],
)
def test_a_container_has_the_plugins_of_every_pipeline_of_its_board(name, board, jetpack):
    path = catalogue_folder("devices") / "containers" / f"Containerfile.{name}"
    profile = load_profile(board)
    scripts = [provision(profile, source=one.uri, jetpack=jetpack).files[SCRIPT] for one in profile.cameras]
    wanted = {word for script in scripts for word in re.findall(r"gstreamer1\.0-[a-z-]+", script)}
    assert "gstreamer1.0-plugins-good" in wanted
    assert wanted <= set("\n".join(of(path, "RUN")).split())


@pytest.mark.tensorrt
@pytest.mark.parametrize("name", [ON_A_CPU, "x86-nvidia"])
def test_the_line_of_pip_makes_an_environment_in_which_edgezsl_runs(name, tmp_path):
    """What needs neither a GPU nor an image: in a clean environment, with this checkout's wheel."""
    path = catalogue_folder("devices") / "containers" / f"Containerfile.{name}"
    (line,) = [rest for rest in of(path, "RUN") if " pip install " in rest]
    install = tmp_path / "install"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, f"--wheel-dir={install}", str(ROOT)], check=True, timeout=300)
    (install / "constraints-device.txt").write_bytes(
        (catalogue_folder("devices") / "provision/constraints-device.txt").read_bytes()
    )
    line = (
        line.replace("/opt/install", str(install))
        .replace("/opt/edgezsl", str(tmp_path / "venv"))
        .replace("python3 ", f"{sys.executable} ")
    )
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, timeout=600, stdout=subprocess.DEVNULL)
    (tmp_path / "classes.yaml").write_text("- cup\n- bottle\n")
    run = [
        tmp_path / "venv/bin/edgezsl",
        "run",
        "--source",
        "synthetic:?frames=5&fps=0",
        "--classes",
        tmp_path / "classes.yaml",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, run), "--engine", "onnx"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "5 frames answered" in done.stderr
