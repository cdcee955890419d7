"""Passes over an ONNX graph: each requires, ensures, and returns whether it changed anything."""
