"""edgernn: streaming inference for small sequence models on live sensor data.

>>> import edgernn
>>> edgernn.Metadata(labels=("rest", "walk")).labels
('rest', 'walk')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgernn.version import __version__

if TYPE_CHECKING:
    from edgernn.errors import (
        CompileCacheError,
        ConfigError,
        DoesNotFitError,
        EdgeRNNError,
        ExportError,
        FormatError,
        InputError,
        MalformedModelError,
        MissingPackageError,
        ModelError,
        NonFiniteInputError,
        ProgramFileError,
        QuantizationError,
        RecordingError,
        RunnerStateError,
        SourceBusyError,
        SourceError,
        SourceNotFoundError,
        SourcePermissionError,
        StatePairingError,
        UnsupportedModelError,
    )
    from edgernn.importers import load
    from edgernn.program.description import Port, StateSlot
    from edgernn.program.file import save
    from edgernn.program.metadata import DecisionSettings, Metadata
    from edgernn.program.program import Program
    from edgernn.program.running import Running
    from edgernn.program.streamed import as_run
    from edgernn.quantizer import quantize
    from edgernn.runtime.runner import Runner
    from edgernn.stream.stream import open_stream
    from firmware_export import export

__all__ = [
    "CompileCacheError",
    "ConfigError",
    "DecisionSettings",
    "DoesNotFitError",
    "EdgeRNNError",
    "ExportError",
    "FormatError",
    "InputError",
    "MalformedModelError",
    "Metadata",
    "MissingPackageError",
    "ModelError",
    "NonFiniteInputError",
    "Port",
    "Program",
    "ProgramFileError",
    "QuantizationError",
    "RecordingError",
    "Runner",
    "RunnerStateError",
    "Running",
    "SourceBusyError",
    "SourceError",
    "SourceNotFoundError",
    "SourcePermissionError",
    "StatePairingError",
    "StateSlot",
    "UnsupportedModelError",
    "__version__",
    "as_run",
    "export",
    "load",
    "open_stream",
    "quantize",
    "save",
]

# where each public name lives, but for the errors; a module is imported when its first name is used
_HOMES = {
    "DecisionSettings": "edgernn.program.metadata",
    "Metadata": "edgernn.program.metadata",
    "Port": "edgernn.program.program",
    "Program": "edgernn.program.program",
    "Runner": "edgernn.runtime.runner",
    "Running": "edgernn.program.running",
    "StateSlot": "edgernn.program.program",
    "as_run": "edgernn.program.streamed",
    "export": "firmware_export",
    "load": "edgernn.importers",
    "open_stream": "edgernn.stream.stream",
    "quantize": "edgernn.quantizer",
    "save": "edgernn.program.file",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'edgernn' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "edgernn.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
