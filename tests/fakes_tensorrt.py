"""TensorRT as far as an engine uses it, on the machine of `fakes_cuda.py`: it writes down what is used of it.

`tests/tensorrt` compares what it wrote down, and its own names, with our source and with the real bindings. Its plans are
those of `fake_plans.py`.
"""

import json
import sys
import weakref
from importlib.machinery import ModuleSpec

import numpy as np

from tests.fake_plans import NUMPY, known_answer
from tests.fakes_cuda import FakeGpu, cuda_modules


class Record:
    """What was used of TensorRT: `uses` are (class, name), `keywords` (class, name, keyword); the class of the module's own names is `""`."""

    def __init__(self) -> None:
        self.uses = set()
        self.keywords = set()

    def joined(self, other):
        joined = Record()
        joined.uses, joined.keywords = self.uses | other.uses, self.keywords | other.keywords
        return joined

    def note(self, owner, name, keywords=()) -> None:
        self.uses.add((owner, name))
        self.keywords.update((owner, name, keyword) for keyword in keywords)


class Machine(FakeGpu):
    """A machine with TensorRT. `current` is the one that its classes work on."""

    current = None

    def __init__(self, *, version="10.3.0", capability="8.7", **gpu) -> None:
        super().__init__(**gpu)
        self.version = version
        self.capability = capability
        self.record = Record()
        self.trt_faults = {}  # a method's name: what TensorRT says when it fails there, or an exception to raise
        self.runs = 0
        Machine.current = self

    def install(self, monkeypatch):
        """Put the machine where `import` finds it."""
        monkeypatch.setattr(Machine, "current", self)
        for name, module in {**cuda_modules(self), "tensorrt": FakeTensorRt(self)}.items():
            monkeypatch.setitem(sys.modules, name, module)
        return self

    def fails(self, logger, method):
        """Say why, and return whether a method is to fail."""
        said = self.trt_faults.get(method)
        if isinstance(said, Exception):
            raise type(said)(str(said))
        if said is not None:
            self.say(logger, "ERROR", said)
        return said is not None

    def say(self, logger, severity, text):
        self.record.note("ILogger", "log")
        logger.log(f"Severity.{severity}", text)


def _is_fake(kind):
    """Return whether a class stands for one of TensorRT's; what builds plans stands in a module beside this one."""
    return kind.__module__.startswith(__name__) and not kind.__qualname__.startswith("_")


def _owner(kind, name):
    """Return the fake class that has a name, or None where it is the caller's own."""
    for base in kind.__mro__:
        if name in vars(base):
            return base if _is_fake(base) else None
    return None


class _Seen(type):
    """Writes down what is read of a class."""

    def __getattribute__(cls, name):
        value = super().__getattribute__(name)
        if not name.startswith("_"):
            owner = _owner(cls, name)
            if owner:
                Machine.current.record.note(type.__getattribute__(owner, "__qualname__"), name)
        return value


class _Object(metaclass=_Seen):
    """Writes down what is read of an object, and by which keywords its methods are called."""

    def __getattribute__(self, name):
        value = object.__getattribute__(self, name)
        kind = type(self)
        owner = None if name.startswith("_") else _owner(kind, name)
        if owner is None and not name.startswith("_") and _is_fake(kind):
            owner = kind  # a plain attribute of the object
        if owner is None:
            return value
        qualified = type.__getattribute__(owner, "__qualname__")
        record = Machine.current.record
        record.note(qualified, name)
        if not callable(value):
            return value

        def call(*arguments, **keywords):
            nonlocal value
            record.note(qualified, name, keywords)
            method, value = value, None
            try:
                return method(*arguments, **keywords)
            except (RuntimeError, TypeError) as error:
                raised = error.with_traceback(None)
                del method
            raise raised  # as from C++: no frame in the traceback holds the object

        return call

    def __setattr__(self, name, value) -> None:
        kind = type(self)
        if not name.startswith("_") and _is_fake(kind) and (name in vars(self) or _owner(kind, name)):
            Machine.current.record.note(type.__getattribute__(kind, "__qualname__"), name)
        object.__setattr__(self, name, value)


class DataType(metaclass=_Seen):
    FLOAT = "DataType.FLOAT"
    HALF = "DataType.HALF"
    UINT8 = "DataType.UINT8"


class TensorIOMode(metaclass=_Seen):
    INPUT = "TensorIOMode.INPUT"
    OUTPUT = "TensorIOMode.OUTPUT"


class ExecutionContextAllocationStrategy(metaclass=_Seen):
    STATIC = "ExecutionContextAllocationStrategy.STATIC"
    USER_MANAGED = "ExecutionContextAllocationStrategy.USER_MANAGED"


class ILogger(_Object):
    class Severity(metaclass=_Seen):
        INTERNAL_ERROR = "Severity.INTERNAL_ERROR"
        ERROR = "Severity.ERROR"
        WARNING = "Severity.WARNING"
        INFO = "Severity.INFO"
        VERBOSE = "Severity.VERBOSE"

    def __init__(self) -> None:
        Machine.current.record.note("ILogger", "__init__")
        self._made = True

    def log(self, severity, msg):
        raise RuntimeError('Tried to call pure virtual function "nvinfer1::ILogger::log"')


class Runtime(_Object):
    def __init__(self, logger) -> None:
        machine = Machine.current
        machine.record.note("Runtime", "__init__")
        if not isinstance(logger, ILogger) or not vars(logger).get("_made"):
            raise TypeError("__init__(): incompatible constructor arguments")
        self._machine, self._logger = machine, logger
        self._engines = 0
        if machine.fails(logger, "Runtime"):
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def deserialize_cuda_engine(self, serialized_engine):
        machine, logger = self._machine, self._logger
        if machine.fails(logger, "deserialize_cuda_engine"):
            return None
        machine.say(logger, "INFO", f"Loaded engine size: {len(serialized_engine)} bytes")
        machine.say(logger, "VERBOSE", "Deserialization required 1 microseconds.")
        where = "IRuntime::deserializeCudaEngine: Error Code"
        try:
            plan = json.loads(bytes(serialized_engine))
        except ValueError:
            text = "Serialization (Serialization assertion plan->header.magicTag == rt::kPLAN_MAGIC_TAG failed.)"
            return machine.say(logger, "ERROR", f"{where} 1: {text}")
        text = None
        if plan["version"] != machine.version:
            text = f"not compatible with this version of TensorRT, expecting library version {machine.version} got {plan['version']}"
        elif plan["capability"] != machine.capability:
            text = f"generated on an incompatible device, expecting compute {machine.capability} got compute {plan['capability']}"
        if text:
            text = f"{where} 6: API Usage Error (The engine plan file is {text}, please rebuild.)"
            return machine.say(logger, "ERROR", text)
        return ICudaEngine(self, plan)

    def __del__(self) -> None:
        if vars(self).get("_engines"):
            self._machine.wrongs.append("the runtime goes before its engine")


class ICudaEngine(_Object):
    def __init__(self, runtime, plan) -> None:
        self._runtime = weakref.ref(runtime)
        self._machine, self._logger, self._plan = runtime._machine, runtime._logger, plan
        self._contexts = 0
        runtime._engines += 1

    @property
    def num_io_tensors(self):
        return len(self._plan["tensors"])

    @property
    def device_memory_size_v2(self):
        return self._plan["scratch_bytes"]

    def get_tensor_name(self, index):
        return self._plan["tensors"][index][0]

    def get_tensor_mode(self, name):
        return self._tensor(name)[1]

    def get_tensor_dtype(self, name):
        return self._tensor(name)[2]

    def create_execution_context(self, strategy="ExecutionContextAllocationStrategy.STATIC"):
        if self._machine.fails(self._logger, "create_execution_context"):
            return None
        return IExecutionContext(self, strategy)

    def _tensor(self, name):
        return next(tensor for tensor in self._plan["tensors"] if tensor[0] == name)

    def __del__(self) -> None:
        if self._contexts:
            self._machine.wrongs.append("the engine goes before its contexts")
        runtime = self._runtime()
        if runtime is not None:
            runtime._engines -= 1
        self._machine.calls.append("del ICudaEngine")


class IExecutionContext(_Object):
    def __init__(self, engine, strategy) -> None:
        self._engine = weakref.ref(engine)
        self._machine, self._logger, self._plan = engine._machine, engine._logger, engine._plan
        self._scratch = None if strategy == "ExecutionContextAllocationStrategy.USER_MANAGED" else (0, 0)
        self._addresses = {}
        self._count = None
        self._state = 0  # a graph that was captured in another state is void
        self._warm = False
        engine._contexts += 1
        self._machine.contexts += 1

    def set_device_memory(self, memory, size):
        if size < self._plan["scratch_bytes"] or self._machine.view(memory, size, "device") is None:
            raise RuntimeError("the memory does not suffice")
        self._scratch = (memory, size)

    def set_tensor_address(self, name, memory):
        known = any(name == tensor[0] for tensor in self._plan["tensors"])
        if not known or self._machine.fails(self._logger, "set_tensor_address"):
            return False
        self._addresses[name] = memory
        self._state += 1
        return True

    def set_input_shape(self, name, shape):
        least, most = self._plan["batch"]
        known = name == self._plan["tensors"][0][0]
        if not known or list(shape[1:]) != [3, *self._plan["size"]] or not least <= shape[0] <= most:
            text = "API Usage Error (Parameter check failed, condition: engineDims.d[i] == dims.d[i]. Static dimension mismatch)"
            self._machine.say(self._logger, "ERROR", f"IExecutionContext::setInputShape: Error Code 3: {text}")
            return False
        self._count = shape[0]
        self._state += 1
        self._warm = False
        return True

    def get_tensor_shape(self, name):
        if name == self._plan["tensors"][0][0]:
            return (self._count, 3, *self._plan["size"])
        return (self._count, self._plan["dim"])

    def execute_async_v3(self, stream_handle):
        machine, stream = self._machine, self._machine.streams[stream_handle]
        if machine.fails(self._logger, "execute_async_v3"):
            return False
        names = {tensor[0] for tensor in self._plan["tensors"]}
        if self._scratch is None or self._count is None or set(self._addresses) != names:
            machine.say(self._logger, "ERROR", "IExecutionContext::enqueueV3: Error Code 3: API Usage Error (not set)")
            return False
        if stream.capturing is not None and not (self._warm and self._plan["capturable"]):
            stream.enqueue(None)  # the capture is invalid from here on
            machine.say(self._logger, "ERROR", "Error Code 1: Cuda Runtime (not permitted when stream is capturing)")
            return False
        self._warm = True
        stream.enqueue(self._work())
        return True

    def _work(self):
        """Return what a kernel would do: with the addresses and the shape of now, and nothing of later."""
        context, machine, plan, state = weakref.ref(self), self._machine, self._plan, self._state
        addresses, count, scratch = dict(self._addresses), self._count, self._scratch

        def compute():
            alive = context()
            if alive is None or alive._state != state:
                machine.wrongs.append("what was enqueued runs after its context has changed or gone")
            (source, _, dtype), (target, _, _) = plan["tensors"]
            size_bytes = count * 3 * int(np.prod(plan["size"])) * np.dtype(NUMPY[dtype]).itemsize
            given = machine.view(addresses[source], size_bytes, "device")
            to = machine.view(addresses[target], count * plan["dim"] * 4, "device")
            assert given is not None, "the input's memory is too small, or gone"
            assert to is not None, "the output's memory is too small, or gone"
            if scratch != (0, 0):
                machine.view(*scratch, "device")[:] = 255
            pixels = given.view(NUMPY[dtype]).reshape(count, 3, *plan["size"])
            to[:] = known_answer(pixels, plan["dim"]).reshape(-1).view(np.uint8)
            machine.runs += 1

        return compute

    def __del__(self) -> None:
        engine = self._engine()
        if engine is not None:
            engine._contexts -= 1
        self._machine.contexts -= 1
        self._machine.calls.append("del IExecutionContext")


class FakeTensorRt:
    """The module `tensorrt`; a name that is not here is none that is used."""

    DataType = DataType
    TensorIOMode = TensorIOMode
    ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy
    ILogger = ILogger
    Runtime = Runtime

    def __init__(self, machine) -> None:
        self.__version__ = machine.version
        self.__spec__ = ModuleSpec("tensorrt", None)  # by which it counts as installed
        self._machine = machine

    def __getattribute__(self, name):
        value = object.__getattribute__(self, name)
        if name == "__version__" or not name.startswith("_"):
            object.__getattribute__(self, "_machine").record.note("", name)
        return value
