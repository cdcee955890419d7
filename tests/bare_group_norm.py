"""Run on a device's environment, without pytest: bundles of base-sized encoders open and answer.

python tests/bare_group_norm.py FOLDER

FOLDER is what `group_norm_bundles.py` wrote. These encoders normalise over time in float64, for
which not every version of ONNX Runtime has every fused operator.
"""

import sys
from pathlib import Path

import onnxruntime

from edge_ser.cli import main as edge_ser

# written before graphs avoided the product that 1.19 to 1.25 cannot fuse
OLD = Path(__file__).parent / "data" / "bundles-schema-1" / "onnx-fp32-group.zip"
PRECISIONS = ("fp32", "fp16-weights", "fp16-compute", "int8")


def main(folder: Path) -> None:
    for bundle in (*(folder / precision for precision in PRECISIONS), OLD):
        print(f"$ edge-ser verify {bundle.name}")
        code = edge_ser(["verify", str(bundle)])
        if code:
            sys.exit(f"{bundle.name} in onnxruntime {onnxruntime.__version__}: exit code {code}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
