"""Digest of the kernel sources. Compiled code is used only if it was compiled from the present sources."""

import hashlib
from pathlib import Path

__all__ = ["SOURCES", "digest"]


def digest(folder: Path) -> str:
    """Return the digest of the names and contents of all kernel files in `folder`."""
    result = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        result.update(path.name.encode())
        result.update(path.read_bytes())
    return result.hexdigest()


SOURCES = digest(Path(__file__).parent)
