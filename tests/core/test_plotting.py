"""Pictures that cannot be written."""

from pathlib import Path

import pytest

from edge_ser.errors import UsageError
from edge_ser.plotting import check_plot_path


def test_a_picture_that_cannot_be_written_is_refused_before_measuring(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png or \.svg, found x\.pdf"):
        check_plot_path(tmp_path / "x.pdf", "edge-ser x")
    with pytest.raises(UsageError, match="existing directory"):
        check_plot_path(tmp_path / "none" / "x.png", "edge-ser x")
    check_plot_path(tmp_path / "x.svg", "edge-ser x")
