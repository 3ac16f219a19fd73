"""The ONNX graph, checked: bounds, operator sets, tensors, nodes, known exporter traps."""
