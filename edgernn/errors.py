"""Every error that edgernn raises on purpose.

::

    EdgeRNNError
    ├── ModelError (ValueError)               a model or program cannot be used
    │   ├── UnsupportedModelError             understood, but not supported: names node, operator, attribute
    │   ├── MalformedModelError               damaged, contradictory or larger than the stated bounds
    │   └── StatePairingError                 which output feeds which state input is not unique
    ├── ProgramFileError (ValueError)         a saved program or snapshot is damaged or too new
    ├── QuantizationError (ValueError)        a program or its calibration cannot be quantized
    ├── ExportError (ValueError)              a program cannot be written as C, or its C cannot be proved
    │   └── DoesNotFitError                   a board or an emulated machine has not the memory that it needs
    ├── InputError (ValueError)               a sample or recording has the wrong shape, type or names
    │   └── NonFiniteInputError               a sample holds NaN or infinity; no state was touched
    ├── RunnerStateError (RuntimeError)       a step after ``flush()`` without ``reset()``
    ├── SourceError (OSError)                 a port, socket or file of samples
    │   ├── SourceBusyError                   somebody else holds the port
    │   ├── SourcePermissionError             the user may not open the port
    │   └── SourceNotFoundError               there is no such port or file
    ├── FormatError (ValueError)              the bytes of a source make no samples
    ├── ConfigError (ValueError)              a flag, variable or TOML entry is wrong
    ├── RecordingError (OSError)              a recording cannot be written
    ├── MissingPackageError (ImportError)     an optional package is needed
    └── CompileCacheError (PermissionError)   the kernel cache may be written by another user

Each class also derives from the built-in error that fits, so ``except ValueError`` works as a Python user expects.
Every message says what is wrong, where, and what to do.
"""


class EdgeRNNError(Exception):
    """Base of all errors that edgernn raises on purpose."""


class ModelError(EdgeRNNError, ValueError):
    """A model or program cannot be used."""


class UnsupportedModelError(ModelError):
    """A model uses something that edgernn does not support; the message names node, operator and attribute."""


class MalformedModelError(ModelError):
    """A model file is damaged, contradicts itself or claims more than the stated bounds."""


class StatePairingError(ModelError):
    """Which output feeds which state input is not unique; the message lists the candidates."""


class ProgramFileError(EdgeRNNError, ValueError):
    """A saved program, weight table or snapshot is damaged, does not belong here or is too new."""


class QuantizationError(EdgeRNNError, ValueError):
    """A program, or the recordings it is calibrated with, cannot be quantized."""


class ExportError(EdgeRNNError, ValueError):
    """A program cannot be written as C, or its C cannot be compiled, run or compared."""


class DoesNotFitError(ExportError):
    """A board or an emulated machine has not the memory that a program needs."""


class InputError(EdgeRNNError, ValueError):
    """A sample or recording has the wrong shape, type or names."""


class NonFiniteInputError(InputError):
    """A sample holds NaN or infinity; no state was touched."""


class RunnerStateError(EdgeRNNError, RuntimeError):
    """A runner was stepped after ``flush()`` without ``reset()``."""


class SourceError(EdgeRNNError, OSError):
    """A port, socket or file of samples failed."""


class SourceBusyError(SourceError):
    """Another process holds the port."""


class SourcePermissionError(SourceError):
    """The user may not open the port."""


class SourceNotFoundError(SourceError):
    """There is no such port or file."""


class FormatError(EdgeRNNError, ValueError):
    """The bytes of a source make no samples."""


class ConfigError(EdgeRNNError, ValueError):
    """A flag, an environment variable or an entry of a TOML file is wrong."""


class RecordingError(EdgeRNNError, OSError):
    """A recording cannot be written, as on a full disk, or its takes have no samples."""


class MissingPackageError(EdgeRNNError, ImportError):
    """An optional package is needed; the message says how to install it."""


class CompileCacheError(EdgeRNNError, PermissionError):
    """The folder of compiled kernels may be written by another user."""
