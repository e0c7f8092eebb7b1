"""The life of a forked worker."""

from __future__ import annotations

import os
import signal
import traceback
from typing import TYPE_CHECKING, NoReturn

import pytest

from . import _core, heap, uncaught
from .worker import Worker

if TYPE_CHECKING:
    from .covering import Journals
    from .leaving import Leaving
    from .plans import Plans


def run_forked(
    config: pytest.Config,
    session: pytest.Session,
    core: _core.Worker,
    plans: Plans,
    leaving: Leaving,
    journals: Journals,
) -> NoReturn:
    """The life of a forked worker, from the fork to its end."""
    try:
        leaving.forget_before_fork()
        worker = Worker(config, session, core, plans)
        worker.adopt(forked=True)
        worker.journal = journals.of_worker(core.job()["slot"])
        leaving.begin(config.stash[heap.KEY])
        worker.run()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        core.phase(_core.SESSION)  # exit handlers have its limit, too
        worker.send_uncaught()
        uncaught.let_go()
        leaving.finish()
        worker.say_bye()
        os._exit(0)
    except KeyboardInterrupt:
        pass  # the controller's, before there was anything to tear down
    except BaseException:
        try:
            os.write(2, traceback.format_exc().encode("utf-8", "replace"))
        except OSError:
            pass
    finally:
        os._exit(1)
