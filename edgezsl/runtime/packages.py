"""The optional and required packages by name: what pip calls them, which extra brings them, and which engine is which.

It imports nothing: `doctor_child.py` reads it before it has met any of them.
"""

from __future__ import annotations

_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
CUDA_BINDINGS = "cuda.bindings.runtime"
PACKAGES: dict[str, tuple[tuple[str, ...], str | None]] = {
    # import name: what pip calls it, and the extra that brings it (None: edgezsl itself does)
    "numpy": (("numpy",), None),
    "cv2": (_OPENCV, "camera"),
    "tensorrt": (("tensorrt", "tensorrt-cu12", "tensorrt-cu13"), "tensorrt"),
    CUDA_BINDINGS: (("cuda-bindings",), "tensorrt"),
    "onnxruntime": (("onnxruntime", "onnxruntime-gpu"), "runtime"),
    "openvino": (("openvino",), "openvino"),
    "tokenizers": (("tokenizers",), "text"),
    "watchfiles": (("watchfiles",), None),
    "safetensors": (("safetensors",), None),
    "yaml": (("PyYAML",), None),
}
# What `auto` chooses out of; ONNX Runtime's ways to a GPU, such as `onnx:cuda`, are part of its package.
ENGINE_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt"}
