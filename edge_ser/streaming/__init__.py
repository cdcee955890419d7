"""Audio that goes on: its windows answered as they end, smoothed, and gated by speech."""
