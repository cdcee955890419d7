"""`edge-ser bench` of a second or two."""

QUICK = ("bench", "--rounds", "4", "--max-time", "2", "--processes", "0")
ONE = (*QUICK, "--seconds", "1")
