"""Archives of many recordings: in batches, by engines that others make, into Parquet."""

from edge_ser.scoring.archive.columns import COLUMNS, SPARK_SCHEMA
from edge_ser.scoring.archive.run import Summary, score_archive
from edge_ser.scoring.archive.scorer import Scorer

__all__ = ["COLUMNS", "SPARK_SCHEMA", "Scorer", "Summary", "score_archive"]
