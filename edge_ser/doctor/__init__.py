"""`edge-ser doctor`: what this machine has and lacks, and whether bundles run on it."""
