"""What each worker has of its own, where the controller's was inherited: the folder of
``tmp_path``, files of captured output, stack dumps, random numbers.
"""

from __future__ import annotations

import faulthandler
import io
import os
import random
import resource
import sys
from typing import TYPE_CHECKING, Any

import _pytest.capture
import pytest

from . import live

if TYPE_CHECKING:
    from . import _core
    from .live import Ends


def own_tmp_path(config: pytest.Config, name: str) -> None:
    """``tmp_path`` below ``<root>/popen-gwN``, as under xdist."""
    factory = getattr(config, "_tmp_path_factory", None)
    root = getattr(factory, "_basetemp", None)
    if factory is not None and root is not None:
        own = root / f"popen-{name}"
        own.mkdir(mode=0o700, exist_ok=True)
        factory._basetemp = own


class _Roomy(io.FileIO):
    """A file of captured output, which the limit of a pass with small files is not for:
    what tests print is no file of theirs. What other programs print, and libraries past
    ``sys.stdout``, is limited."""

    def write(self, data: Any) -> int:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (before[1], before[1]))
        try:
            return super().write(data)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def own_capture(config: pytest.Config, job: dict[str, Any], ends: list[Ends]) -> live.Own | None:
    """Captures into files of this worker's own, and prints to its own pipes.

    The controller's files are shared after a fork, offset included. Ours are
    also open in the controller, which shows what a killed test printed.

    Args:
        ends: pipes to print to, by slot; none: nothing is printed past capture, or a
            spawned worker has them already.
    """

    def own_streams() -> live.Own | None:
        return live.Own(ends, job["slot"]) if ends else None

    manager = config.pluginmanager.getplugin("capturemanager")
    if manager is None or manager._global_capturing is None:
        return own_streams()
    files = iter((job["stdout"], job["stderr"]))
    module: Any = _pytest.capture
    original = module.TemporaryFile

    def ours(*args: Any, **kwargs: Any) -> Any:
        fd = next(files, None)
        if fd is None:
            return original(*args, **kwargs)
        if "small_files" in job["around"]:
            return _Roomy(os.dup(fd), "rb+")
        return os.fdopen(os.dup(fd), "rb+", buffering=0)

    manager.stop_global_capturing()
    own = own_streams()
    module.TemporaryFile = ours
    try:
        manager.start_global_capturing()
    finally:
        module.TemporaryFile = original
    manager.suspend_global_capture(in_=False)
    return own


def own_faulthandler(core: _core.Worker, job: dict[str, Any]) -> None:
    """Crashes and the supervisor's signal write stacks to the slot's file."""
    faulthandler.enable(file=job["stack"], all_threads=True)
    # Dump, then never come back: a test that is being killed must not go on.
    core.hold()
    faulthandler.register(job["stack_signal"], file=job["stack"], all_threads=True, chain=True)


def reseed(seed: int) -> None:
    """Without this every fork would draw the same numbers."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        try:
            numpy.random.seed(seed % 2**32)
        except Exception:
            pass  # a numpy that was only half imported
