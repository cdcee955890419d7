"""Run on a device's environment, without pytest: the installed wheel works and is torch-free.

python tests/bare_device.py
"""

import importlib.util
import subprocess
import sys
import time

FORBIDDEN = ("torch", "transformers", "onnx", "optimum", "librosa")
EXPORT_SIDE = ("edge_ser_export_data", "corpus")  # checkpoints and clips; the synthetic corpus


def seconds(statements: tuple[str, ...]) -> list[float]:
    """Best of ten cold runs of each, in seconds; in turn, so that a busy moment meets them all."""
    times: dict[str, list[float]] = {statement: [] for statement in statements}
    for _ in range(10):
        for statement in statements:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            times[statement].append(time.perf_counter() - started)
    return [min(runs) for runs in times.values()]


def main() -> None:
    installed = [m for m in FORBIDDEN if importlib.util.find_spec(m)]
    if installed:
        sys.exit(f"not a bare environment: {', '.join(installed)} installed")
    ours, numpys = seconds(("import edge_ser", "import numpy"))
    extra = ours - numpys
    print(f"import edge_ser: {1000 * extra:.0f} ms more than numpy")
    if extra > 0.15:
        sys.exit("import edge_ser takes more than 150 ms over numpy")

    from edge_ser.cli import main as edge_ser

    bench = ["bench", "--seconds", "1", "--rounds", "5", "--processes", "1"]
    for command in (["predict"], ["verify"], ["inspect"], ["doctor"], bench):
        print(f"$ edge-ser {' '.join(command)}")
        code = edge_ser(command)
        if code:
            sys.exit(f"exit code {code}")
    loaded = [m for m in FORBIDDEN if m in sys.modules]
    if loaded:
        sys.exit(f"imported on a device: {', '.join(loaded)}")

    # a command that needs the other side says how to get it, and is no traceback
    done = subprocess.run(
        [sys.executable, "-m", "edge_ser", "export"], capture_output=True, text=True, check=False
    )
    if done.returncode != 2 or "edge-ser[export]" not in done.stderr or "\n" in done.stderr.strip():
        sys.exit(f"edge-ser export without its extra: {done.returncode} {done.stderr}")

    carried = [module for module in EXPORT_SIDE if importlib.util.find_spec(module)]
    if carried:
        sys.exit(f"the wheel carries what only the export side needs: {', '.join(carried)}")
    print("the wheel works without torch, transformers, onnx and librosa")


if __name__ == "__main__":
    main()
