"""What other plugins need, each rule an entry in a table with its reason."""

from __future__ import annotations

import sys
import warnings
from argparse import SUPPRESS
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from types import CellType, CodeType, FunctionType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import pytest
from pluggy import PluggyTeardownRaisedWarning

if TYPE_CHECKING:
    from . import adapters
    from .options import Options

#: Hooks that report a run. In workers only ours hear them: what a conftest or
#: plugin does there (print, count, write a file) happens once, in the
#: controller, which calls them again with what the worker sent.
CONTROLLER_HOOKS = (
    "pytest_runtest_logreport",
    "pytest_runtest_logstart",
    "pytest_runtest_logfinish",
    "pytest_warning_recorded",
)

#: Plugins, by registered name, that must not live in a worker, and why.
NOT_IN_WORKERS = {
    "terminalreporter": "it prints; the controller's does so once",
    "lfplugin": "it writes the cache of last failures",
    "nfplugin": "it writes the cache of new tests",
    "stepwiseplugin": "it writes the cache of the stepwise position",
    "pastebin": "it collects the terminal's output",
    "dsession": "pytest-xdist's controller",
}

#: Plugins, by class, of which workers hear all of CONTROLLER_HOOKS where logs
#: are shown live.
LABEL_LIVE_LOG = {
    "_pytest.logging.LoggingPlugin": "it labels the live log, where there is one",
}

#: Listeners, by class or module, that do nothing with a passed setup or teardown
#: that has no output: pytest's own, read from their source.
DEAF_TO_PLAIN = {
    "pytest_runtest_logreport": frozenset(
        (
            "_pytest.main.Session",  # counts failures
            "_pytest.terminal.TerminalReporter",  # keeps it in `stats`, as we do
            "_pytest.terminal.TerminalProgressPlugin",  # counts calls
            "_pytest.logging.LoggingPlugin",  # labels the live log of this process
            "_pytest.cacheprovider.LFPlugin",  # looks at calls and failures
            "_pytest.stepwise.StepwisePlugin",  # likewise
            "pytest_qe.quarantining.Quarantining",  # likewise
        )
    ),
    "pytest_report_teststatus": frozenset(
        (
            "_pytest.runner",  # says that it is nothing to show
            "_pytest.terminal",
            "_pytest.skipping",
            "_pytest.subtests",
            "pytest_qe.controller.Controller",
            "pytest_qe.quarantining.Quarantining",
        )
    ),
    "pytest_runtest_logstart": frozenset(
        ("_pytest.terminal.TerminalReporter", "_pytest.logging.LoggingPlugin")
    ),
}

#: Plugins, by class or module, that take part in the teardown of what outlived a
#: worker's last test: pytest's own that look at what happens in it.
AT_LATE_TEARDOWN = frozenset(
    (
        "_pytest.runner",  # tears down
        "_pytest.capture.CaptureManager",  # what is printed,
        "_pytest.logging.LoggingPlugin",  # or logged, becomes a section
        "_pytest.threadexception",  # exceptions that nobody
        "_pytest.unraisableexception",  # caught become warnings
    )
)

#: Plugins, by registered name, whose hooks for xdist's nodes are not called.
NO_NODE_HOOKS = {
    "xdist": "it would manage nodes of its own",
    "_cov": "it asks for execnet's nodes; save_coverage and merge_coverage serve it",
}

#: Classes of hooks for xdist's nodes, by the plugin's module, that it registers
#: only where xdist is: they serve our nodes as well.
NODE_HOOK_CLASSES = {
    "pytest_randomly": "XdistHooks",  # workers get its seed
    "random_order.plugin": "XdistHooks",  # likewise
    "syrupy": "DeferXDist",  # takes what workers found of snapshots
}

#: Hooks of CONTROLLER_HOOKS that a worker's copy of a plugin must hear as well,
#: by the plugin's module, or module and class.
HEARD_IN_WORKERS = {
    "syrupy": "pytest_runtest_logreport",  # counts which tests have run
    # Closes the result of an attempt that is rerun in the same worker.
    "allure_pytest.listener.AllureListener": "pytest_runtest_logfinish",
}

#: Plugins, by module, whose ``pytest_sessionfinish`` must also happen in a forked
#: worker (a spawned one ends a session of its own), and why.
FINISHED_IN_WORKERS = {
    "syrupy": "it makes the worker's report of snapshots",
}

#: Plugins, by module, that need more than a rule: their class in ``adapters.py``,
#: and why.
ADAPTERS = {
    "pytest_benchmark.plugin": ("Benchmark", "it keeps what it measured in the process"),
    "pytest_rerunfailures": ("Rerunfailures", "it counts reruns in the process"),
    "syrupy": ("Syrupy", "it merges reports only under pytest-xdist's options"),
    "pytest_metadata.plugin": ("Metadata", "it hands over a worker's when it is configured"),
    "allure_pytest.plugin": ("Allure", "it takes the process's id when it is configured"),
}

#: The adapters of this process.
ADAPTED: pytest.StashKey[list[adapters.Adapter]] = pytest.StashKey()

#: Plugins, by module, that must not live in a spawned worker, and why.
NOT_IN_SPAWNED = {
    "pytest_sugar": "it replaces a terminal reporter, which a worker has not",
}

#: Options of plugins that a spawned worker gets another value of.
SPAWNED_OPTIONS = {
    "cov_append": True,  # a worker that begins late would erase what others saved
}

#: Threads, by the module of their target or class, that may live at a fork.
HARMLESS_THREADS = {
    "pytest_rerunfailures": "its server only serves pytest-xdist workers",
}

#: Native thread pools, by a word in the library's file name, that prepare
#: themselves for fork (pthread_atfork).
HARMLESS_LIBRARIES = {
    "openblas": "stops and restarts its threads around fork",
}

#: Child processes, by a word in their command line, that may live at a fork.
HARMLESS_CHILDREN = {
    "multiprocessing.resource_tracker": "nobody waits for it: it ends with its pipe",
}

#: Open SQLite databases, by the module that holds the connection.
HARMLESS_DATABASES = {
    "coverage": "own_coverage gives each worker a file of its own",
}

#: Session fixtures that a shared one may depend on, but each worker has anew.
PER_WORKER = {
    "worker_id": "it is the worker's name",
}

#: Options of plugins that hold the seed of each test's random numbers, by the plugin's
#: name, and their value where each run draws another: so then do a hunt's passes, which
#: would see one draw alone.
SEEDS = {
    "randomly": ("randomly_seed", "default"),  # it seeds anew before each test
}

#: And of the order of tests: how a value begins that nobody has chosen, for which nodes of
#: one run take another, and options of which one turns the plugin on.
SHUFFLES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "randomly": ("randomly_seed", "default", ()),
    "random_order": (
        "random_order_seed", "default:", ("random_order_enabled", "random_order_bucket"),
    ),
}  # fmt: skip

#: xdist's values that switch it off.
XDIST_OFF = ("-n0", "-n=0", "--numprocesses=0", "--dist=no")

#: xdist's defaults, which plugins look at to see whether it is at work.
_XDIST_DEFAULTS: dict[str, Any] = {
    "numprocesses": None,
    "dist": "no",
    "maxprocesses": None,
    "tx": [],
}

XDIST_OPTIONS = ("-n", "--numprocesses", "--dist", "-d", "--tx")


# ------------------------------------------------------------- pytest-xdist


def has_xdist(pluginmanager: pytest.PytestPluginManager) -> bool:
    """Whether pytest-xdist's plugin is registered."""
    return pluginmanager.hasplugin("xdist") or pluginmanager.hasplugin("xdist.plugin")


def add_hooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declares xdist's hooks where xdist does not."""
    from . import xdisthooks

    hook = pluginmanager.hook
    missing = {
        name: getattr(xdisthooks, name)
        for name in dir(xdisthooks)
        if name.startswith("pytest_") and not getattr(getattr(hook, name, None), "spec", None)
    }
    if missing:
        namespace = type("QeXdistHooks", (), {k: staticmethod(v) for k, v in missing.items()})
        pluginmanager.add_hookspecs(namespace)


def add_options(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Takes xdist's options where xdist is absent, so that an ini file that
    was written for it needs no change. Alone they are refused as before."""
    if not pluginmanager.is_blocked("xdist") and find_spec("xdist") is not None:
        return
    group = parser.getgroup("qe")
    for name, default in _XDIST_DEFAULTS.items():
        # pytest keeps lower-case letters for itself and its like.
        short = ("-n",) if name == "numprocesses" else ()
        group._addoption(
            *short, "--" + name, dest=name, default=default, help=SUPPRESS, metavar="X"
        )


def refuse_lone_options(config: pytest.Config) -> None:
    """Without xdist and without us, xdist's options mean nothing."""
    if has_xdist(config.pluginmanager):
        return
    for name, default in _XDIST_DEFAULTS.items():
        value = getattr(config.option, name, default)
        if value != default:
            raise pytest.UsageError(
                f"unrecognized argument: --{name}={value} is of pytest-xdist, which is not "
                "installed; --qe-parallel takes its place"
            )


def auto_num_workers(config: pytest.Config) -> int | None:
    """What conftests say ``auto`` means; None if none of them does.

    xdist's own answer is left out: it knows neither affinity nor quota.
    """
    result = node_hook(config, "pytest_xdist_auto_num_workers")(config=config)
    if isinstance(result, list):
        result = next((r for r in result if r is not None), None)
    return None if result is None else int(result)


def _typed(config: pytest.Config) -> list[str]:
    found = []
    for arg in config.invocation_params.args:
        text = str(arg)
        if text == "--":
            break
        if text in XDIST_OFF:
            continue
        for name in XDIST_OPTIONS:
            if (
                text == name
                or text.startswith(name + "=")
                or (name == "-n" and text.startswith("-n") and text[2:3].isalnum())
            ):
                found.append(text)
    return found


def override_xdist(config: pytest.Config, options: Options) -> str | None:
    """Makes an idle plugin of xdist; returns a notice where it was asked for.

    From ini or environment it is overridden; typed beside an option that starts our
    workers it is an error, as nobody can know which was meant.
    """
    option = config.option
    count = getattr(option, "numprocesses", None)
    dist = getattr(option, "dist", None)
    if getattr(option, "distload", False):
        dist = "load"
    if not count and dist in (None, "no"):
        return None
    typed = _typed(config)
    if typed:
        raise pytest.UsageError(
            f"{typed[0]} and {options.reason} exclude each other: "
            "pytest-xdist or qe runs the tests; give one of them"
        )
    asked = f"-n {count}" if count else f"--dist {dist}"
    if has_xdist(config.pluginmanager):
        option.numprocesses = None
        option.dist = "no"
        option.distload = False
        option.tx = []
    return f"{asked} (ini or environment) is overridden by {options.reason}"


def name_of(plugin: object) -> str:
    """A plugin's module, or module and class."""
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"


def all_deaf(config: pytest.Config, hook: str) -> bool:
    """Whether nobody listens to a hook but those of DEAF_TO_PLAIN."""
    impls = getattr(config.hook, hook).get_hookimpls()
    return all(name_of(impl.plugin) in DEAF_TO_PLAIN[hook] for impl in impls)


def drop_frame(first: TracebackType, code: CodeType | None) -> None:
    """Takes the frames of a function of ours out of a traceback, where it has
    been called by another: a group of exceptions is shown with all frames."""
    entry: TracebackType | None = first
    while entry is not None:
        while entry.tb_next is not None and entry.tb_next.tb_frame.f_code is code:
            entry.tb_next = entry.tb_next.tb_next
        entry = entry.tb_next


def late_teardown(item: pytest.Item) -> Callable[[], None]:
    """The teardown of what outlived a worker's last test, as a part of that
    test's: what others do at a test's teardown, they have done."""
    from _pytest import runner
    from _pytest.logging import caplog_records_key

    manager = item.config.pluginmanager
    others = [p for p in manager.get_plugins() if name_of(p) not in AT_LATE_TEARDOWN]
    hook = manager.subset_hook_caller("pytest_runtest_teardown", others)
    if manager.has_plugin("logging-plugin"):
        item.stash[caplog_records_key] = {}
    # A group of exceptions is shown with all frames: this one is pytest's own.
    names = {"runtest_hook": hook, "ihook": hook, "item": item, "kwds": {"nextitem": None}}
    # Until pytest 8.1 it was in a function of its own.
    caller: Any = getattr(runner, "call_runtest_hook", runner.call_and_report)
    for code in caller.__code__.co_consts:
        if (
            isinstance(code, CodeType)
            and len(code.co_freevars) == 3
            and (names.keys() >= {*code.co_freevars})
        ):
            cells = tuple(CellType(names[name]) for name in code.co_freevars)
            return FunctionType(code, vars(runner), closure=cells)
    return lambda: hook(item=item, nextitem=None)


def item_warnings(item: pytest.Item) -> AbstractContextManager[None]:
    """Records warnings as those of an item, by its filters."""
    if not item.config.pluginmanager.has_plugin("warnings"):
        return nullcontext()
    from _pytest.warnings import catch_warnings_for_item

    return catch_warnings_for_item(config=item.config, ihook=item.ihook, when="runtest", item=item)


def join_sections(item: pytest.Item) -> None:
    """Makes one section of what was captured in two parts of a teardown."""
    joined: dict[tuple[str, str], str] = {}
    for when, key, text in item._report_sections:
        before = joined.get((when, key))
        if before is not None:
            text = before + ("\n" if key == "log" else "") + text
        joined[when, key] = text
    item._report_sections[:] = [(*names, text) for names, text in joined.items()]


def report_after(item: Any, call: pytest.CallInfo[None]) -> pytest.TestReport:
    """The report of a teardown that comes after its test's protocol has ended.

    A plugin may have taken back by then what it had attached to the item; the
    report is then pytest's own.
    """
    has_request = hasattr(item, "_request")
    if has_request:
        item._initrequest()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PluggyTeardownRaisedWarning)
            report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    except Exception:
        report = pytest.TestReport.from_item_and_call(item, call)
    finally:
        if has_request:  # as pytest leaves it
            item._request = False
            item.funcargs = None
    return report


def foreign_loop(config: pytest.Config) -> str | None:
    """A plugin that has a run loop of its own, which ours would replace."""
    for impl in config.hook.pytest_runtestloop.get_hookimpls():
        wrapper = impl.hookwrapper or getattr(impl, "wrapper", False)
        name = name_of(impl.plugin)
        if not wrapper and not name.startswith(("_pytest.", "pytest_qe.", "xdist.")):
            return str(getattr(impl.plugin, "__file__", name))
    return None


def node_hook(config: pytest.Config, name: str) -> Any:
    """A hook of xdist's, without the plugins that expect xdist itself."""
    manager = config.pluginmanager
    skip = [manager.get_plugin(n) for n in NO_NODE_HOOKS if manager.has_plugin(n)]
    return manager.subset_hook_caller(name, skip)


def _module_in(pluginmanager: pytest.PytestPluginManager, name: str) -> ModuleType | None:
    """The plugin that is this module, if it is registered, by whatever name."""
    module = sys.modules.get(name)
    return module if module is not None and pluginmanager.is_registered(module) else None


def adapt(
    config: pytest.Config, items: list[pytest.Item], spawned: bool = False
) -> list[adapters.Adapter]:
    """Registers what plugins need for a run, see ADAPTERS and NODE_HOOK_CLASSES."""
    manager = config.pluginmanager
    if not spawned and not has_xdist(manager):
        for name, kind in NODE_HOOK_CLASSES.items():
            hooks = getattr(_module_in(manager, name), kind, None)
            if hooks is not None:
                manager.register(hooks())
    found = config.stash[ADAPTED] = []
    for name, (kind, _) in ADAPTERS.items():
        module = _module_in(manager, name)
        if module is None:
            continue
        from . import adapters

        adapter: adapters.Adapter = getattr(adapters, kind)(config, items, module)
        if adapter.wanted():
            manager.register(adapter, "qe-adapter-" + kind.lower())
            found.append(adapter)
    return found


def quiet_spawned(config: pytest.Config) -> None:
    """Takes out of a spawned worker what cannot live in one."""
    for name in NOT_IN_SPAWNED:
        module = _module_in(config.pluginmanager, name)
        if module is not None:
            config.pluginmanager.unregister(module)


def add_fixtures(pluginmanager: pytest.PytestPluginManager) -> None:
    """xdist's ``worker_id`` and ``testrun_uid`` where xdist is absent."""
    if not has_xdist(pluginmanager):
        from . import xdistfixtures

        pluginmanager.register(xdistfixtures, "qe-xdist-fixtures")


def fixture_definitions(session: pytest.Session) -> dict[str, list[Any]]:
    """Every definition of every fixture, by name; pytest keeps them by name, or
    since 9.2 by name and place."""
    manager: Any = session._fixturemanager
    old = getattr(manager, "_arg2fixturedefs", None)
    if old is not None:
        return dict(old)
    found: dict[str, list[Any]] = {}
    for places in (manager._arg2node2fixturedefs, manager._arg2nodeid2fixturedefs):
        for name, by_place in places.items():
            for definitions in by_place.values():
                found.setdefault(name, []).extend(definitions)
    return found


def make_repeatable(item: pytest.Item) -> None:
    """Lets a test run once more in this process, as if it had not run: a method gets
    another instance, and a doctest the names that it had from collection."""
    from _pytest.unittest import TestCaseFunction

    own: dict[str, Any] = vars(item)
    if own.get("_qe_repeatable"):
        return
    own["_qe_repeatable"] = True
    names = dict(item.dtest.globs) if hasattr(item, "dtest") else None
    is_method = isinstance(item.parent, pytest.Class) and not isinstance(item, TestCaseFunction)
    setup = item.setup

    def setup_again() -> None:
        if names is not None:
            item.dtest.globs.update(names)  # type: ignore[attr-defined]
        if is_method:
            for name in ("_obj", "_instance"):
                own.pop(name, None)
        setup()

    item.setup = setup_again  # type: ignore[method-assign]
