"""Passes over an ONNX graph: each requires, ensures, and returns whether it changed anything.

They work on `onnx_ir` models, whose values know their producers, their uses and their symbolic
shapes, straight from the exporter. Answers stay the same up to the order of additions.
"""
