"""TensorRT engines on NVIDIA GPUs, without torch or a CUDA package."""
