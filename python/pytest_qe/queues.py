"""Where a run across machines has its queue: the server, who we are there, the project, the run.

What is asked for comes from options, then from the environment. A password comes from the
environment or from a file that nobody else can read; one in the address works, and is never shown.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import revision
from .errors import QeError
from .payloads import PayloadError, pack, unpack

if TYPE_CHECKING:
    from . import _queue

__all__ = [
    "NO_RUN", "PREFIX", "NoQueueHere", "PayloadError", "QueueOptionError", "Server", "Target",
    "extension", "hidden", "node", "open_queue", "pack", "project", "run", "seed", "server",
    "take_password",
    "target", "unpack",
]  # fmt: skip

#: What all keys on the server begin with.
PREFIX = "qe"

_LONGEST_PROJECT = 100
_LONGEST_RUN = 200
_LONGEST_PASSWORD = 511


class QueueOptionError(ValueError):
    """What was asked for makes no sense; the message is one line, without any password."""


class NoQueueHere(QeError, ValueError):
    """This installation cannot use queues; the message is one line, and says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(-12, message)


def extension() -> ModuleType:
    """The extension for queues, which nothing else loads.

    Raises: ``NoQueueHere``: it was built without, or a library has gone.
    """
    try:
        from . import _queue
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}._queue":
            raise
        raise NoQueueHere("a queue needs Linux and CPython") from None
    except ImportError as error:
        line = " ".join(str(error).split())
        if ".so" in line and "missing when" not in line:
            line += ": install hiredis and OpenSSL (libhiredis-dev, libssl-dev)"
        raise NoQueueHere(f"this installation has no queue: {line}") from None
    return _queue


# ------------------------------------------------------------------ the server


@dataclass(frozen=True, repr=False)
class Server:
    """A server, and who we are there.

    Attributes:
        url: its address, perhaps with a password in it: see ``hidden``.
        user, password: None: none were given.
        ca_file: who vouches for it; None: whom the system trusts.
    """

    url: str
    user: str | None = None
    password: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"Server({hidden(self.url)!r}, user={self.user!r}, ca_file={self.ca_file!r})"

    def options(self) -> dict[str, Any]:
        """What ``_queue.Queue`` and ``_queue.Reader`` take besides the address."""
        return {"user": self.user, "password": self.password, "ca_file": self.ca_file}

    def reader(self, project: str, *, timeout: float = 5.0) -> _queue.Reader:
        """Connects as one who reads the runs of a project.

        Args:
            timeout: seconds for each answer.

        Raises: ``NoQueueHere``, ``InvalidArgument``, ``QueueError``.
        """
        reader: _queue.Reader = extension().Reader(
            self.url, project, PREFIX, timeout_ns=int(timeout * 1e9), **self.options()
        )
        return reader


_taken: str | None = None  # QE_QUEUE_PASSWORD, once it is not in the environment any more


def take_password() -> None:
    """Takes QE_QUEUE_PASSWORD out of the environment: no test's business. ``server`` knows it
    still."""
    global _taken
    _taken = os.environ.pop("QE_QUEUE_PASSWORD", None) or _taken


def server(
    url: str | None,
    *,
    password_file: str | None = None,
    ca_file: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Server:
    """The server of a queue.

    Args:
        url: redis://HOST[:PORT][/DATABASE], or rediss:// for TLS; None: QE_QUEUE.
        password_file: instead of QE_QUEUE_PASSWORD, and of QE_QUEUE_PASSWORD_FILE.
        ca_file: instead of QE_QUEUE_CA_FILE.
        environ: default: the process's.

    Raises: ``QueueOptionError``.
    """
    environ = os.environ if environ is None else environ
    url = url or environ.get("QE_QUEUE")
    if not url:
        raise QueueOptionError(
            "no queue is given: --queue=redis://HOST or QE_QUEUE names its server"
        )
    user = environ.get("QE_QUEUE_USER") or None
    password = None
    if password_file is None:
        password = environ.get("QE_QUEUE_PASSWORD") or (_taken if environ is os.environ else None)
        password_file = environ.get("QE_QUEUE_PASSWORD_FILE") or None
    if password is None and password_file is not None:
        password = _read_password(password_file)
    for name, value, most in (
        ("the queue's address", url, 4096),
        ("QE_QUEUE_USER", user, 127),
        ("QE_QUEUE_PASSWORD", password, _LONGEST_PASSWORD),
    ):
        if value is not None and not _is_plain(value, most):
            raise QueueOptionError(f"{name}: takes at most {most} bytes of UTF-8, and no NUL")
    ca_file = ca_file or environ.get("QE_QUEUE_CA_FILE") or None
    if ca_file is not None and not os.path.isfile(ca_file):
        raise QueueOptionError(f"the queue's CA file: there is no file {ca_file}")
    return Server(url, user, password, ca_file)


def _is_plain(text: str, most: int) -> bool:
    try:
        return "\0" not in text and len(text.encode("utf-8")) <= most
    except UnicodeEncodeError:
        return False


def hidden(text: str) -> str:
    """An address, or a text with one in it, without its password.

    Example:
        >>> hidden("--queue=redis://me:secret@host/1")
        '--queue=redis://me:***@host/1'
    """
    # Up to the last @ of the host's, as the address is read, whatever else is in the password.
    return re.sub(r"(rediss?://[^\s:/]*):(?:[^/\n]*@|\S*@)+", r"\1:***@", text)


def _read_password(path: str) -> str:
    """The first line of a file that is ours alone."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)):
                raise QueueOptionError(f"the queue's password file {path}: is no file")
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                raise QueueOptionError(
                    f"the queue's password file {path}: others may read it (mode "
                    f"{stat.S_IMODE(status.st_mode):04o}): chmod 600 it"
                )
            data = file.read(1 << 16)
    except OSError as error:
        raise QueueOptionError(f"the queue's password file {path}: {error.strerror}") from None
    line = data.split(b"\n", 1)[0].rstrip(b"\r")
    if not line or len(line) > _LONGEST_PASSWORD or b"\0" in line:
        raise QueueOptionError(
            f"the queue's password file {path}: its first line is empty, or no password of at "
            f"most {_LONGEST_PASSWORD} bytes"
        )
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise QueueOptionError(f"the queue's password file {path}: is no UTF-8") from None


# ------------------------------------------------------------------- the names


def project(given: str | None, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """The project's name, the same on all nodes.

    Args:
        given: an option's; None: QE_QUEUE_PROJECT, then the last words of the address of git's
            remote `origin`, then the name of the folder.
        folder: the project's.

    Raises: ``QueueOptionError``.
    """
    environ = os.environ if environ is None else environ
    given = given or environ.get("QE_QUEUE_PROJECT")
    if given:
        return _checked(given, "--project", _LONGEST_PROJECT, "/")
    remote = revision.remote(folder)
    name = _of_remote(remote) if remote is not None else None
    return name or _clean(folder.resolve().name, _LONGEST_PROJECT, r"[^\w.-]") or "project"


def _of_remote(url: str) -> str | None:
    """`owner.name` of a repository's address, however it is reached; of a path its last word."""
    path = url.strip().rstrip("/")
    match = re.match(r"\w[\w+.-]*://[^/]*/(.*)|(?:[^/:]+@)?[^/:]+:(.*)", path)
    words = (match[1] or match[2] or "") if match else path.rpartition("/")[2]
    words = words.rstrip("/").removesuffix(".git")
    last = [word for word in words.split("/") if word][-2:]
    return _clean(".".join(last), _LONGEST_PROJECT, r"[^\w.-]") or None


def run(given: str | None, environ: Mapping[str, str] | None = None) -> str | None:
    """The run's name, the same on all nodes of it; None: nothing says one.

    Args:
        given: an option's; None: QE_QUEUE_RUN, then what the CI calls what runs.

    Raises: ``QueueOptionError``.
    """
    environ = os.environ if environ is None else environ
    given = given or environ.get("QE_QUEUE_RUN")
    if given:
        return _checked(given, "--run", _LONGEST_RUN)
    for first, others in _CI:
        if environ.get(first):
            words = [environ[first], *(environ.get(name, "") for name in others)]
            if first == "CI_PIPELINE_ID":  # the jobs of one `parallel` differ in this alone
                words[1] = re.sub(r"\s+\d+/\d+$", "", words[1])
            return _clean("/".join(word for word in words if word), _LONGEST_RUN, r"[\s{}]|[^ -~]")
    return None


#: What tells one run from another in each CI, and what its job is called.
_CI = (
    ("GITHUB_RUN_ID", ("GITHUB_RUN_ATTEMPT", "GITHUB_JOB")),
    ("CI_PIPELINE_ID", ("CI_JOB_NAME",)),
    ("BUILDKITE_BUILD_ID", ()),
    ("CIRCLE_WORKFLOW_ID", ("CIRCLE_JOB",)),
    ("BUILD_TAG", ()),
)
NO_RUN = (
    "no run is given: --run names it, where the CI does not say so (GitHub, GitLab, Buildkite, "
    "CircleCI, Jenkins)"
)


def seed(run: str) -> int:
    """A number of 32 bits that all nodes of a run have in common.

    Example:
        >>> seed("one") == seed("one") != seed("two")
        True
    """
    return int.from_bytes(hashlib.sha256(run.encode("utf-8", "replace")).digest()[:4], "little")


def node() -> str:
    """A name for this node, one of a kind in its run."""
    host = _clean(socket.gethostname().partition(".")[0], 40, r"[^A-Za-z0-9_-]") or "node"
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


def _clean(name: str, most: int, other: str) -> str:
    return re.sub(other, "-", name)[:most].strip("-.")


def _checked(name: str, option: str, most: int, *more: str) -> str:
    """A name that can stand in a key of the server."""
    bad = [c for c in name if c in ("{", "}", *more) or not c.isprintable()]
    if bad or len(name.encode("utf-8", "replace")) > most:
        signs = "no braces" + (" and no slash" if more else "")
        raise QueueOptionError(f"{option}: takes at most {most} letters, {signs}, not {name!r:.80}")
    return name


# ----------------------------------------------------------------- a node's part


@dataclass(frozen=True)
class Target:
    """A run, and where it is."""

    server: Server
    project: str
    run: str


def target(
    url: str | None,
    *,
    run: str | None,
    project: str | None,
    root: Path,
    password_file: str | None = None,
    ca_file: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Target:
    """The run that a node is to share, by options and the environment.

    Args:
        url, password_file, ca_file, environ: as of ``server``.
        run: as of the function ``run``.
        project, root: as of the function ``project``.

    Raises: ``QueueOptionError``; also where nothing names a run.
    """
    where = server(url, password_file=password_file, ca_file=ca_file, environ=environ)
    name = _run(run, environ)
    if name is None:
        raise QueueOptionError(NO_RUN)
    return Target(where, _project(project, root, environ), name)


def open_queue(
    target: Target,
    ids: Sequence[bytes | str],
    scopes: Sequence[int],
    flags: Sequence[int],
    expected_ns: Sequence[int],
    *,
    workers: int,
    maxfail: int = 0,
    lease: float = 0.0,
    name: str | None = None,
) -> _queue.Queue:
    """A node's part in a run; nothing is connected to yet.

    Args:
        target: which run, and where.
        ids, scopes, flags, expected_ns: of all units, in the plan's scope order.
        workers: of this node.
        maxfail: failures of the whole run that stop it; 0: no limit.
        lease: seconds; 0: the default.
        name: of this node; None: one is made.

    Raises: ``NoQueueHere``, ``InvalidArgument``; both are ``ValueError``, too.
    """
    opened: _queue.Queue = extension().Queue(
        target.server.url, ids, scopes, flags, expected_ns, prefix=PREFIX,
        project=target.project, run=target.run, node=name or node(), workers=workers,
        maxfail=maxfail, lease_ns=int(lease * 1e9), **target.server.options(),
    )  # fmt: skip
    return opened


_run, _project = run, project  # whose names are those of options, too
