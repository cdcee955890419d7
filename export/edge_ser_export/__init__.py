"""Export side of edge-ser: checkpoints in, proved bundles out. Needs the extra `export`."""
