import json
import subprocess
import sys
from pathlib import Path

import pytest

import edgezsl
from tests.factories import write_conv_model

PACKAGE = Path(edgezsl.__file__).parent
VENDORS = (
    "torch",
    "optuna",
    "onnx",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "cv2",
    "tokenizers",
    "safetensors",
    "typer",
    "rich",
    "yaml",
    "watchfiles",
)
# What trains a model is made of torch, and imports it as a matter of course; nothing that a device runs imports these.
TRAINING = (
    *("edgezsl.zsl", "edgezsl.data", "edgezsl.encoders.compact", "edgezsl.encoders.minilm"),
    *("edgezsl.compile.trained_model", "edgezsl.compile.training_run", "edgezsl.compile.source_parity"),
    "edgezsl.compile.source_page",
    *("edgezsl.compile.attack_run", "edgezsl.compile.method_model", "edgezsl.compile.method_run"),
    *("edgezsl.compile.graph_rows", "edgezsl.compile.graph_run", "edgezsl.compile.method_steps"),
    "edgezsl.encoders.torch_graph",
    *("edgezsl.encoders.modules", "edgezsl.encoders.onnx_export", "edgezsl.encoders.source_model"),
    *("edgezsl.encoders.open_clip_models", "edgezsl.encoders.timm_models", "edgezsl.encoders.transformers_models"),
)


def library_modules():
    """Return the names of every module but those of the command line and of training."""
    paths = [path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in sorted(paths)]
    return [name for name in names if not name.startswith(("edgezsl.cli", *TRAINING)) and not name.endswith("__main__")]


def loaded_after(*modules):
    """Return the top-level packages that a fresh interpreter has loaded after importing `modules`."""
    program = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    command = [sys.executable, "-c", program, *modules]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_importing_edgezsl_loads_no_package_but_its_own():
    added = loaded_after("edgezsl") - loaded_after()
    assert "edgezsl" in added
    assert added & {"numpy", *VENDORS} == set()


def test_importing_every_module_loads_no_vendor_package():
    modules = library_modules()
    assert {"edgezsl.station", "edgezsl.runtime.onnx_engine", "edgezsl.runtime.stream"} <= set(modules)
    assert loaded_after(*modules) & set(VENDORS) == set()


@pytest.mark.parametrize("module", library_modules())
def test_every_module_can_be_imported_first(module):
    assert loaded_after(module) & set(VENDORS) == set()


def test_the_parts_that_train_do_not_load_the_command_line():
    assert loaded_after(*TRAINING) & {"typer", "rich"} == set()


def without(packages, program, *arguments):
    """Run a program in an interpreter that cannot import some packages."""
    taken_away = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))\n"
    command = [sys.executable, "-c", taken_away + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_directory_is_read_without_torch_and_onnx(tmp_path):
    write_conv_model(tmp_path / "model")
    program = "from pathlib import Path; from edgezsl.encoders.model import Model; print(Model.open(Path(sys.argv[1])).facts.name)"
    assert without(["torch", "onnx"], program, tmp_path / "model") == "convolutions\n"


def test_a_model_directory_is_exported_without_torch(tmp_path):
    write_conv_model(tmp_path / "model")
    program = (
        "from pathlib import Path; from edgezsl.compile.export import ExportSettings, export\n"
        "model, out = map(Path, sys.argv[1:])\n"
        "*_, result = export(ExportSettings(model, out, precision='int8'))\n"
        "print(result.report.outcome)"
    )
    assert without(["torch", "typer"], program, tmp_path / "model", tmp_path / "out") == "passed\n"


def test_the_child_that_reads_class_files_imports_no_numpy_before_it_has_read_one():
    assert "numpy" not in loaded_after("edgezsl.runtime.embed_child")


def test_using_a_public_name_loads_only_what_it_needs():
    program = "import sys, edgezsl; edgezsl.EdgezslError; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n"


def test_importing_everything_starts_no_thread_and_prints_nothing():
    program = (
        "import importlib, sys, threading\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "assert threading.active_count() == 1, threading.enumerate()"
    )
    command = [sys.executable, "-c", program, *library_modules()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")
