"""TensorRT engines from exported graphs.

`devices`, `backend`, `profiles`, `build`, `census` and `on_device` need numpy, tqdm and a TensorRT
module alone, because they also run on the device: no torch, onnx or onnx_ir there.
"""
