"""TensorRT engines built from the graph of a bundle, without torch or onnx."""
