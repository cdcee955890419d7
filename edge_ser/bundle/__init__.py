"""The bundle: what it holds, what its manifest says, and how it is read and written."""
