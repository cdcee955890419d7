"""Whether the deployed model holds: its answers to speech that something has happened to."""
