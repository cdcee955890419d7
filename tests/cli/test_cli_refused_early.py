"""What a path tells is said before torch is imported, which takes longer than all else."""

import subprocess
import sys
from pathlib import Path

from edge_ser.data import DEFAULT_BUNDLE

PROGRAM = """
import sys, time
from edge_ser.cli import main
for words in {commands!r}:
    start = time.process_time()
    code = main(words)
    print(code, "torch" in sys.modules, time.process_time() - start, flush=True)
"""


def test_wrong_paths_are_refused_without_torch(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    published = tmp_path / "published"
    published.mkdir()
    (published / "config.json").write_text("{}")
    run = tmp_path / "run"
    run.mkdir()
    (run / "best_ssl.pt").touch()
    text = tmp_path / "notes.txt"
    text.write_text("dear diary")
    labels = tmp_path / "labels.csv"
    labels.write_text("FileName,EmoAct,EmoVal,EmoDom\n")
    out = str(tmp_path / "out")
    expected = {
        ("export", str(empty)): "expected a run directory",
        ("export", str(published)): "expected model.safetensors or pytorch_model.bin",
        ("export", str(run)): "expected all five files of a run, found no best_pool.pt",
        ("export", str(run), "--epoch", "7"): "expected epoch 7, found epochs best",
        ("export", str(text)): "expected a PyTorch checkpoint, found a text file",
        ("export", "nowhere", "--target", "onnx-int8"): "expected a checkpoint, or one of",
        ("verify", str(DEFAULT_BUNDLE), "--reference", "nowhere"): "expected a checkpoint, or",
        ("verify", str(DEFAULT_BUNDLE), "--reference", str(empty)): "expected a run directory",
        ("bench", "--runtime", "torch", "--checkpoint", "nowhere"): "expected a checkpoint, or",
        ("train", "nowhere.csv", "-o", out): "expected a label table",
        ("train", str(labels), "-o", out): "found a header only",
        ("train", "nowhere.csv", "--evaluate", str(empty), "-o", out): "expected a run directory",
        ("train", "nowhere.csv", "--evaluate", "spectral", "-o", out): "expected a label table",
    }
    program = PROGRAM.format(commands=[list(words) for words in expected])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    errors, results = done.stderr.splitlines(), done.stdout.splitlines()
    assert len(errors) == len(results) == len(expected), done.stderr
    for words, said, error, result in zip(
        expected, expected.values(), errors, results, strict=True
    ):
        code, has_torch, seconds = result.split()
        assert (code, has_torch) == ("2", "False"), (words, error)
        assert said in error, (words, error)
        assert float(seconds) < 1, words  # of the processor: others may use it, too
    assert not Path(out).exists()
