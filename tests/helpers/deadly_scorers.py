"""A scorer whose process ends as the system's memory killer ends it: at once, and for nothing."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from edge_ser.scoring.archive import Scorer
from edge_ser.scoring.archive.columns import Row


class DeadlyScorer(Scorer):
    """Ends its process at the sight of a recording.

    Args:
        once: name of one that does so unless `mark` is there.
        mark: file that is made then, with the number of the process.
        always: name of one that does so each time.
    """

    def __init__(self, once: str, mark: Path, always: str) -> None:
        super().__init__()
        self.once, self.mark, self.always = once, mark, always

    def rows(self, paths: Sequence[str], sources: Sequence[str | bytes]) -> list[Row]:
        seen = {Path(path).name for path in paths}
        if self.once in seen and not self.mark.exists():
            self.mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        if self.always in seen:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(paths, sources)
