"""The plans of the fake of TensorRT: JSON, and what they compute."""

import json

import numpy as np

NUMPY = {"DataType.FLOAT": np.float32, "DataType.UINT8": np.uint8, "DataType.HALF": np.float16}


def known_answer(pixels, dim):
    """Return what the fake says of pixels: element d is (d + 1) times the mean of channel d modulo 3, uint8 in units of 255."""
    means = pixels.astype(np.float64).mean(axis=(2, 3)) / (255 if pixels.dtype == np.uint8 else 1)
    return np.stack([means[:, d % 3] * (d + 1) for d in range(dim)], axis=1).astype(np.float32)


def plan_bytes(contract, dim, batch, /, **changes):
    """Return a plan of the fake, for TensorRT 10.3.0 and a GPU of compute capability 8.7 unless changed."""
    dtype = {"float32": "DataType.FLOAT", "uint8": "DataType.UINT8"}[contract.dtype]
    plan = {
        "version": "10.3.0",
        "capability": "8.7",
        "tensors": [
            [contract.input, "TensorIOMode.INPUT", dtype],
            [contract.output, "TensorIOMode.OUTPUT", "DataType.FLOAT"],
        ],
        "size": list(contract.size),
        "batch": [batch.min, batch.max],
        "dim": dim,
        "scratch_bytes": 1000,
        "capturable": True,
    }
    return json.dumps(plan | changes).encode()
