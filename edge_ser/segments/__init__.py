"""Long recordings, answered piece by piece: windows, an index of times, and an overall value."""
