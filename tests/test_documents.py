"""Links between the documents, and into the code, lead somewhere."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.data import DEFAULT_BUNDLE

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
)
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
# What a command of the documents writes into the folder that it is run in.
_WRITTEN = re.compile(
    r"(?:-o|--report|--json|--csv|--markdown|--plot) ([\w.-]+\.(?:html|pdf|jsonl|csv|md|png))"
)
_ELSEWHERE = re.compile(r"[a-z]+:")


def anchors(document: Path) -> set[str]:
    """What headings are called in links, as GitHub and others call them."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def broken_links(document: Path) -> list[str]:
    """Relative links of a document to files or headings that are not there."""
    broken = []
    for link in _LINK.findall(_FENCED.sub("", document.read_text())):
        if _ELSEWHERE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "# Of `it`\n[here](#of-it) [a](a.md#of-it) [web](https://example.org/x)\n"
        "[gone](gone.md) [no](#nowhere)\n```\n[code](code.md)\n```\n"
    )
    assert broken_links(document) == ["gone.md", "#nowhere"]


def test_what_commands_of_the_documents_write_is_ignored_by_git() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no clone")
    written = {name for d in DOCUMENTS for name in _WRITTEN.findall(d.read_text())}
    assert {"report.html", "report.pdf", "index.html", "speed.jsonl"} <= written
    names = sorted(written | {"page.html", "index-1-emosphere.html", "emosphere-int8.refused.json"})
    seen = subprocess.run(
        ["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert seen.stdout.split() == names


def test_sizes_of_the_readme_are_those_of_the_default_bundle() -> None:
    readme = (ROOT / "README.md").read_text()
    size = f"{Bundle.open(DEFAULT_BUNDLE).size_bytes / 1e6:.1f} MB"
    row = next(line for line in readme.splitlines() if line.startswith("| default, spectral"))
    assert row.endswith(f"| {size} |")
    assert f"and {size} in float32" in " ".join(readme.split())


def test_times_of_exports_are_those_that_were_measured() -> None:
    text = (ROOT / "docs" / "how-to" / "export-a-checkpoint.md").read_text()
    results = ROOT / "benchmarks" / "results"
    exports = cells(results / "export-sizes.md")
    engines = cells(results / "trt-sizes.md")
    for name, words in (
        ("default", "default, 1.1 M"),
        ("wavlm-base", "WavLM-base size, 111 M"),
        ("wavlm-large", "WavLM-large size, 346 M"),
    ):
        plain = next(row for row in exports if row[0] == name)
        engine = next(row for row in engines if row[:2] == [name, "fp16"])
        assert f"| {words} | {plain[7]} | {plain[8]} | {engine[11]} | {engine[12]} |" in text


def cells(page: Path) -> list[list[str]]:
    """Rows of the tables of a page."""
    lines = (line for line in page.read_text().splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
