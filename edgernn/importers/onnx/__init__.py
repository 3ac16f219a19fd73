"""ONNX models: checked graph, time axis followed through, one rule for each operator, one step program."""
