"""Parts of `peers.py`: environments, the processes in them, what runs there, and pictures."""
