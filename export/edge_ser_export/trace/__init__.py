"""From a model in PyTorch to an ONNX graph."""
