"""Ids and paths as the core keeps them."""

from __future__ import annotations


def key(text: str) -> bytes:
    """An id or path as the core keeps it: bytes without NUL."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    return data.replace(b"\0", b"\\x00")
