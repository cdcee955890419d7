"""The parity gate: does the exported model say what the PyTorch model says?"""
