"""The real bindings: fetched by their names into `build/tensorrt`, imported in a child process over a stub of their libraries.

They are NVIDIA's and proprietary: fetched for this check, never part of the project.
"""

import functools
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.tensorrt.api import Api

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "tensorrt"
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")

# What the bindings link against, in place of libraries of gigabytes: enough to import them, and to look at what they offer.
STUB = """
void *createInferBuilder_INTERNAL(void) { return 0; }
void *createInferRefitter_INTERNAL(void) { return 0; }
void *createInferRuntime_INTERNAL(void) { return 0; }
void *createNvOnnxParser_INTERNAL(void) { return 0; }
void *createNvOnnxParserRefitter_INTERNAL(void) { return 0; }
void *getBuilderPluginRegistry(void) { return 0; }
void *getPluginRegistry(void) { return 0; }
int getNvOnnxParserVersion(void) { return 0; }
int initLibNvInferPlugins(void) { return 0; }
"""


@dataclass(frozen=True)
class Binding:
    """A package of the index: what to fetch, what to import, and the major version of the libraries that it asks for."""

    requirements: tuple
    package: str
    major: int | None = None

    @property
    def version(self):
        return self.requirements[0].partition("==")[2]


# Of each minor version of TensorRT that a JetPack has, the last that the index holds.
TENSORRT = tuple(
    Binding((requirement,), "tensorrt_bindings", major)
    for requirement, major in (
        ("tensorrt-cu12-bindings==10.3.0", 10),
        ("tensorrt-cu13-bindings==10.13.3.9", 10),
        ("tensorrt-cu13-bindings==10.16.1.11", 10),
        ("tensorrt-cu13-bindings==11.4.0.106", 11),
    )
)
CUDA = tuple(
    Binding((requirement, "cuda-pathfinder"), "cuda.bindings.runtime")
    for requirement in ("cuda-bindings==12.9.10", "cuda-bindings==13.5.0")
)


def fetched(binding):
    """Return the folder in which a binding is unpacked.

    Raises:
        AssertionError: When it cannot be fetched: the check was not made then, which is not the same as passed.
    """
    folder = CACHE / binding.requirements[0].replace("==", "-")
    if (folder / "complete").exists():
        return folder
    for requirement in binding.requirements:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", str(folder), requirement]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{requirement} cannot be fetched: {done.stderr}"
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)
    (folder / "complete").touch()
    return folder


@functools.cache
def stub_libraries(major):
    """Return the stubs of TensorRT's libraries of a major version, compiled now."""
    folder = CACHE / f"stub-{major}"
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "stub.c"
    source.write_text(STUB)
    stubs = []
    for name in LIBRARIES:
        soname = f"lib{name}.so.{major}"
        stubs.append(str(folder / soname))
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", stubs[-1], str(source)]
        subprocess.run(command, check=True, timeout=60)
    return tuple(stubs)


def in_child(binding, script, *arguments):
    """Run a script in a new process with the binding's folder and package, then `arguments`; return what it prints."""
    command = [sys.executable, str(script), str(fetched(binding)), binding.package, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, f"{binding.requirements[0]}: {done.stderr}"
    return done.stdout


@functools.cache
def api_of(binding):
    """Return what a binding offers."""
    stubs = stub_libraries(binding.major) if binding.major else ()
    return Api.from_json(json.loads(in_child(binding, Path(__file__).parent / "describe.py", *stubs)))
