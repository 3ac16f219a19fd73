"""The test cases of operators that ONNX ships. Importing a module makes its cases; all of them take seconds."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from onnx.backend.test.case import node


def made_cases(*modules: str) -> list[Any]:
    """Cases of single operators: at least those of these modules of onnx.backend.test.case.node, or of all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases overflow on purpose
        if not modules:
            return list(node.collect_testcases(None))
        for module in modules:
            import_module(f"onnx.backend.test.case.node.{module}")
    return list(node._NodeTestCases)
