"""The README as package indexes show it, where links into the source tree would lead nowhere."""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:|#)([^)\s]+)\)")


def without_local_links(text: str) -> str:
    """Markdown whose links to files of the source tree name the file instead."""
    return _LINK.sub(lambda m: f"`{m[2]}`" if m[1] == m[2] else f"{m[1]} (`{m[2]}`)", text)


class ReadmeHook(MetadataHookInterface):
    """Sets the long description of the package."""

    def update(self, metadata: dict) -> None:
        """Called by hatchling with the metadata of the project."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": without_local_links(text),
        }
