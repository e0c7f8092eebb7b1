"""``--qe-html``: the JSON result in a page that shows it.

The page is a build product (``web/`` becomes ``web/report.html`` here); all that is done
to it is that the result, packed, takes the place of one marker.
"""

from __future__ import annotations

import base64
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from . import _core

TEMPLATE = Path(__file__).parent / "web" / "report.html"
#: What stands in the page for the result.
MARKER = "@QE-RESULT@"
_GZIP = 16 + zlib.MAX_WBITS


def path_of(config: pytest.Config, given: str) -> Path:
    """Where the page is to be."""
    return config.invocation_params.dir / given


def check(path: Path) -> None:
    """Whether the page can be made there; makes its folder.

    Raises:
        pytest.UsageError: it cannot, with one line that says why. That is said before a
            test is run, not after an hour of them.
    """
    if not TEMPLATE.is_file():
        raise pytest.UsageError(
            f"--qe-html: {TEMPLATE} is missing: run `make build/web.stamp` in the sources of qe"
        )
    if path.is_dir():
        raise pytest.UsageError(f"--qe-html={path}: is a folder: takes the path of a file")
    if path.exists() and not path.is_file():
        return  # a device or a pipe is written as it stands
    folder = path.resolve().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"--qe-html={path}: cannot be written: {error.strerror or error}"
        ) from None


def _packed(file: Path) -> str:
    """A file's bytes as text: gzip, then base64."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    parts = []
    with file.open("rb") as stream:
        while data := stream.read(1 << 20):
            parts.append(packer.compress(data))
    parts.append(packer.flush())
    return base64.b64encode(b"".join(parts)).decode("ascii")


def write(path: Path, write_json: Callable[[bytes], None]) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: where to.
        write_json: writes the result to the path that it is given.

    Raises:
        OSError, QeError: it could not be written.
    """
    template = TEMPLATE.read_text("utf-8")
    before, found, after = template.partition(MARKER)
    if not found or MARKER in after:
        raise OSError(f"{TEMPLATE} is not the page that belongs to this version")
    with tempfile.TemporaryDirectory(prefix="qe-") as folder:
        file = Path(folder, "result.json")
        write_json(os.fsencode(file))
        text = before + _packed(file) + after
    path.parent.mkdir(parents=True, exist_ok=True)
    _core.write_file(os.fsencode(path), text.encode("utf-8"))
