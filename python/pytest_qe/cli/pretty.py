"""A stored value for people."""

from __future__ import annotations

import datetime
from typing import Any

from rich.json import JSON
from rich.text import Text

from .safe import shown
from .screen import console_on


def pretty(key: str, made: datetime.datetime | None, value: Any) -> None:
    """Prints a value in colours, with its key, and when it was made."""
    console = console_on()
    when = f", of {made:%Y-%m-%d %H:%M:%S}" if made is not None else ""
    console.print(Text(shown(key), "bold") + Text(when, "dim"), soft_wrap=True)
    # Only ASCII: what a terminal would obey is an escape of JSON.
    console.print(JSON.from_data(value, indent=2, ensure_ascii=True), soft_wrap=True)
