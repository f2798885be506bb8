"""What a TensorRT plan is bound to on this machine: its GPU, its driver, and the release of Jetson Linux."""

from __future__ import annotations

from pathlib import Path

from edgezsl.device import jetson_linux
from edgezsl.runtime.cuda import checked, load_cudart
from edgezsl.runtime.plan_record import Machine

_FIRST = 0  # the GPU that every engine runs on
_MIB = 1 << 20
_UNTOLD = "CUDA does not say what GPU this is"


def this_machine(tensorrt: str, *, root: Path = Path("/")) -> Machine:
    """Return what a plan that is built or run here is bound to.

    Args:
        tensorrt: The version of the TensorRT that is installed, in full.
        root: Where `etc` lies.

    Raises:
        MissingExtraError: When `cuda-bindings` is not installed.
        EngineError: When there is no GPU, its driver is too old, or CUDA does not say what it is.
    """
    cudart = load_cudart()
    properties = checked(cudart, cudart.cudaGetDeviceProperties(_FIRST), _UNTOLD)
    driver = int(checked(cudart, cudart.cudaDriverGetVersion(), _UNTOLD))
    name = properties.name
    return Machine(
        tensorrt=tensorrt,
        gpu=name.decode("utf-8", "replace").rstrip("\0") if isinstance(name, bytes) else str(name),
        compute_capability=f"{properties.major}.{properties.minor}",
        sm_count=int(properties.multiProcessorCount),
        cuda_driver=f"{driver // 1000}.{driver % 1000 // 10}",
        l4t=jetson_linux(root) or "",
    )


def free_memory_mib() -> int:
    """Return how much memory of the GPU is free, in MiB; a Jetson's is the board's.

    Raises:
        MissingExtraError: When `cuda-bindings` is not installed.
        EngineError: When there is no GPU, its driver is too old, or CUDA does not say.
    """
    cudart = load_cudart()
    return int(checked(cudart, cudart.cudaMemGetInfo(), _UNTOLD)) // _MIB
