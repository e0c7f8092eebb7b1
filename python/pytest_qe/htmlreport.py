"""``--qe-html``, ``qe exec --html``: the JSON result in a page that shows it.

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

from . import _core

TEMPLATE = Path(__file__).parent / "web" / "report.html"
#: What stands in the page for the result.
MARKER = "@QE-RESULT@"
_GZIP = 16 + zlib.MAX_WBITS


def missing() -> str | None:
    """Why no page can be made at all, in one line; None: one can."""
    if TEMPLATE.is_file():
        return None
    return f"{TEMPLATE} is missing: run `make build/web.stamp` in the sources of qe"


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
