"""TensorRT's builder as far as it is used, beside the runtime of `fakes_tensorrt.py`: it writes down what is used of it.

The graph is read by the package onnx; a plan is what `fakes_tensorrt.py` runs. What a build measures is `machine.timings`.
"""

import json
import sys
import time

import onnx

from tests import fakes_tensorrt
from tests.fakes_tensorrt import Machine, _Object, _Seen

INSPECTED = {
    "Layers": [
        {"Name": "stem", "Inputs": [{"Format/Datatype": "Int8"}], "Outputs": [{"Format/Datatype": "Half"}]},
        {"Name": "head", "Inputs": [{"Format/Datatype": "Half"}], "Outputs": [{"Format/Datatype": "Float"}]},
    ],
    "Bindings": ["image", "embedding"],
}


class NetworkDefinitionCreationFlag(metaclass=_Seen):
    STRONGLY_TYPED = 1


class MemoryPoolType(metaclass=_Seen):
    WORKSPACE = "MemoryPoolType.WORKSPACE"


class ProfilingVerbosity(metaclass=_Seen):
    DETAILED = "ProfilingVerbosity.DETAILED"


class LayerInformationFormat(metaclass=_Seen):
    JSON = "LayerInformationFormat.JSON"


class IHostMemory(_Object):
    def __init__(self, data) -> None:
        self._data = data

    def __bytes__(self) -> bytes:
        return self._data


class ITimingCache(_Object):
    def __init__(self, data) -> None:
        self._data = data

    def serialize(self):
        return IHostMemory(self._data)


class IProgressMonitor(_Object):
    def __init__(self) -> None:
        Machine.current.record.note("IProgressMonitor", "__init__")
        self._made = True


class ITensor(_Object):
    def __init__(self, name, shape) -> None:
        self._name, self._shape = name, shape

    @property
    def name(self):
        return self._name

    @property
    def shape(self):
        return self._shape


class INetworkDefinition(_Object):
    def __init__(self, flags) -> None:
        self._flags, self._inputs, self._dtypes, self._output = flags, [], [], None

    @property
    def num_inputs(self):
        return len(self._inputs)

    def get_input(self, index):
        return self._inputs[index]


class ParserError(_Object):
    def __init__(self, node, name, operator, desc) -> None:
        self._said = node, name, operator, desc

    def node(self):
        return self._said[0]

    def node_name(self):
        return self._said[1]

    def node_operator(self):
        return self._said[2]

    def desc(self):
        return self._said[3]

    def code(self):
        return "UNSUPPORTED_NODE"


class OnnxParser(_Object):
    def __init__(self, network, logger) -> None:
        Machine.current.record.note("OnnxParser", "__init__")
        self._network, self._logger = network, logger

    def parse(self, model):
        machine = Machine.current
        if machine.parser_errors or machine.fails(self._logger, "parse"):
            return False
        graph = onnx.load_from_string(model).graph
        for value in graph.input:
            axes = value.type.tensor_type.shape.dim
            shape = [axis.dim_value if axis.HasField("dim_value") else -1 for axis in axes]
            self._network._inputs.append(ITensor(value.name, shape))
        kinds = {onnx.TensorProto.FLOAT: "DataType.FLOAT", onnx.TensorProto.UINT8: "DataType.UINT8"}
        self._network._dtypes = [kinds[value.type.tensor_type.elem_type] for value in graph.input]
        self._network._output = graph.output[0]
        return True

    @property
    def num_errors(self):
        return len(Machine.current.parser_errors)

    def get_error(self, index):
        return ParserError(*Machine.current.parser_errors[index])


class IOptimizationProfile(_Object):
    def __init__(self) -> None:
        self._shapes = {}

    def set_shape(self, input, min, opt, max):  # noqa: A002  # the binding's names
        self._shapes[input] = (min, opt, max)


def _setting(name):
    """Return a property that is written down when it is read, as every name, and when it is set."""

    def set_it(config, value):
        Machine.current.record.note("IBuilderConfig", name)
        config._settings[name] = value

    return property(lambda config: config._settings[name], set_it)


class IBuilderConfig(_Object):
    profiling_verbosity = _setting("profiling_verbosity")
    builder_optimization_level = _setting("builder_optimization_level")
    progress_monitor = _setting("progress_monitor")

    def __init__(self) -> None:
        self._pools, self._profiles, self._cache = {}, [], None
        self._settings = {"builder_optimization_level": 3}

    def set_memory_pool_limit(self, pool, pool_size):
        self._pools[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache):
        return None if serialized_timing_cache == b"garbage" else ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache._data and not cache._data.startswith(b"measured here"):
            return False
        self._cache = cache
        return True

    def add_optimization_profile(self, profile):
        self._profiles.append(profile)
        return len(self._profiles) - 1


class Builder(_Object):
    def __init__(self, logger) -> None:
        machine = Machine.current
        machine.record.note("Builder", "__init__")
        self._machine, self._logger = machine, logger
        if machine.fails(logger, "Builder"):
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def create_network(self, flags):
        return INetworkDefinition(flags)

    def create_builder_config(self):
        return IBuilderConfig()

    def create_optimization_profile(self):
        return IOptimizationProfile()

    def build_serialized_network(self, network, config):
        machine = self._machine
        machine.built.append((network, config))
        if machine.fails(self._logger, "build_serialized_network") or not _phases(config._settings["progress_monitor"]):
            return None
        config._cache._data = b"measured here " + bytes([len(machine.built)])
        given, output = network._inputs[0], network._output
        shapes = config._profiles[0]._shapes[given.name] if config._profiles else [given.shape] * 3
        plan = {
            "version": machine.version,
            "capability": machine.capability,
            "tensors": [
                [given.name, "TensorIOMode.INPUT", network._dtypes[0]],
                [output.name, "TensorIOMode.OUTPUT", "DataType.FLOAT"],
            ],
            "size": list(given.shape[2:]),
            "batch": [shapes[0][0], shapes[2][0]],
            "dim": output.type.tensor_type.shape.dim[1].dim_value,
            "scratch_bytes": 1000,
            "capturable": True,
        }
        return IHostMemory(json.dumps(plan).encode())


class EngineInspector(_Object):
    def get_engine_information(self, format):  # noqa: A002  # the binding's name
        assert format == LayerInformationFormat.JSON
        return json.dumps(Machine.current.inspected)


class ICudaEngine(fakes_tensorrt.ICudaEngine):
    def create_engine_inspector(self):
        return EngineInspector()


class Runtime(fakes_tensorrt.Runtime):
    def deserialize_cuda_engine(self, serialized_engine):
        engine = super().deserialize_cuda_engine(serialized_engine)
        if engine is not None:
            engine.__class__ = ICudaEngine
        return engine


class BuildMachine(Machine):
    """A machine with TensorRT's builder.

    Attributes:
        parser_errors: What the parser finds wrong: (number, name, operator, words).
        built: Networks and configurations that were built.
        inspected: What the inspector says of every plan.
        steps: Of the longer phase of a build.
        step_s: How long each takes.
        stopped: Whether a build was told to stop.
    """

    def __init__(self, **machine) -> None:
        super().__init__(**machine)
        self.parser_errors = []
        self.built = []
        self.inspected = INSPECTED
        self.steps = 3
        self.step_s = 0.0
        self.stopped = False

    def install(self, monkeypatch):
        """Put the machine where `import` finds it."""
        super().install(monkeypatch)
        monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRt(self))
        return self


class FakeTensorRt(fakes_tensorrt.FakeTensorRt):
    """The module `tensorrt`, with what builds plans."""

    NetworkDefinitionCreationFlag = NetworkDefinitionCreationFlag
    MemoryPoolType = MemoryPoolType
    ProfilingVerbosity = ProfilingVerbosity
    LayerInformationFormat = LayerInformationFormat
    IProgressMonitor = IProgressMonitor
    OnnxParser = OnnxParser
    Builder = Builder
    Runtime = Runtime


def _phases(monitor):
    """Report a build of two phases, one inside the other; return whether it may end."""

    def tell(name, *arguments):
        Machine.current.record.note("IProgressMonitor", name)
        return getattr(monitor, name)(*arguments)

    tell("phase_start", "Building", None, 2)
    tell("phase_start", "Timing", "Building", Machine.current.steps)
    for step in range(Machine.current.steps):
        time.sleep(Machine.current.step_s)
        if not tell("step_complete", "Timing", step):
            Machine.current.stopped = True
            return False
    tell("phase_finish", "Timing")
    going_on = tell("step_complete", "Building", 0)
    tell("phase_finish", "Building")
    return going_on
