"""Files under one fsspec URL: whole ones, written in one step."""

from __future__ import annotations

import glob
import json
import uuid
from pathlib import Path
from typing import Any

import fsspec

__all__ = ["Files"]


class Files:
    """The file system of a URL, its root on it, and what the lake does with files there.

    Parameters
    ----------
    url : any URL that fsspec knows, or a path.
    """

    def __init__(self, url: str) -> None:
        self.system, self.root = fsspec.core.url_to_fs(url)
        self._local = "file" in self.system.protocol

    def url(self, path: str) -> str:
        """How others name the path: plain on a disk."""
        return path if self._local else str(self.system.unstrip_protocol(path))

    def strip(self, url: str) -> str:
        """The path of a URL: the inverse of `url`."""
        return str(fsspec.core.url_to_fs(url)[1])

    def write(self, path: str, content: bytes) -> None:
        """Write the file in one step: an object store does so by itself, a disk by a rename."""
        self.system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        if not self._local:
            self.system.pipe_file(path, content)
            return
        first = Path(f"{path}.{uuid.uuid4().hex[:12]}")
        first.write_bytes(content)
        first.replace(path)

    def write_json(self, path: str, value: dict[str, Any]) -> None:
        text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
        self.write(path, text.encode())

    def read_json(self, path: str) -> dict[str, Any] | None:
        """What the file holds; `None` when it is not there."""
        try:
            with self.system.open(path, "r", encoding="utf-8") as file:
                value: dict[str, Any] = json.load(file)
                return value
        except FileNotFoundError:
            return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes by name of the data files in a folder: those that readers see, no marks, no checksums."""
        found = self.system.find(folder, detail=True)
        names = {path.removeprefix(f"{folder}/"): int(one["size"]) for path, one in found.items()}
        hidden = {name for name in names if any(part[:1] in "_." for part in name.split("/"))}
        return {name: size for name, size in sorted(names.items()) if name not in hidden}

    def copy(self, source: str, target: str) -> None:
        """Copy the data files of a folder into another, below which nothing need be."""
        for name in self.sizes(source):  # fsspec's recursive copy takes [ in a path for a pattern
            self.system.makedirs(f"{target}/{name}".rsplit("/", 1)[0], exist_ok=True)
            self.system.cp_file(f"{source}/{name}", f"{target}/{name}")

    def children(self, folder: str) -> list[str]:
        """Paths in a folder; none where there is no folder."""
        try:
            return sorted(path.rstrip("/") for path in self.system.ls(folder, detail=False))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        return bool(self.system.exists(path))

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all below it, whether or not it is there."""
        literal = path if self._local else glob.escape(path)  # only a disk takes [ for itself
        try:
            self.system.rm(literal, recursive=True)
        except FileNotFoundError:
            return
