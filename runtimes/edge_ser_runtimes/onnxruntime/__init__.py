"""ONNX Runtime, on CPUs and through its execution providers."""
