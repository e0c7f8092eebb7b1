"""Which server, project and run: from options, the environment, and what a CI says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_qe import queues
from pytest_qe.queues import QueueOptionError, hidden, project, run, server, target

URL = "redis://host"


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


# ------------------------------------------------------------------- the project


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        ("https://example.org/ann/shop.git", "ann.shop"),
        ("https://ci-token:secret@example.org/group/ann/shop.git/", "ann.shop"),
        ("git@example.org:ann/shop.git", "ann.shop"),
        ("ssh://git@example.org:2222/ann/shop", "ann.shop"),
        ("host:shop.git", "shop"),
        ("/srv/git/shop.git", "shop"),
        ("../shop", "shop"),
        ("https://example.org/ann/sh{o}p x", "ann.sh-o-p-x"),
    ],
)
def test_a_project_is_named_by_its_remote(tmp_path: Path, remote: str, name: str) -> None:
    git(tmp_path, "init")
    git(tmp_path, "remote", "add", "upstream", "https://example.org/other/other")
    git(tmp_path, "remote", "add", "origin", remote)
    (tmp_path / "below").mkdir()
    assert project(None, tmp_path / "below", {}) == name


def test_without_a_remote_it_is_named_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    folder.mkdir()
    assert project(None, folder, {}) == "my-shop"
    git(folder, "init")
    assert project(None, folder, {}) == "my-shop"


def test_an_option_goes_before_the_environment_and_that_before_all_else(tmp_path: Path) -> None:
    assert project(None, tmp_path, {"QE_QUEUE_PROJECT": "env"}) == "env"
    assert project("mine", tmp_path, {"QE_QUEUE_PROJECT": "env"}) == "mine"
    assert run(None, {"QE_QUEUE_RUN": "env", "GITHUB_RUN_ID": "1"}) == "env"
    assert run("mine", {"QE_QUEUE_RUN": "env"}) == "mine"


@pytest.mark.parametrize("name", ["a/b", "a{b", "a}b", "a\nb", "a\x1bb", "x" * 101])
def test_a_project_that_could_be_anothers_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(QueueOptionError, match="--project: takes at most 100 letters"):
        project(name, tmp_path, {})


# ----------------------------------------------------------------------- the run


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_JOB": "test"}, "7/2/test"),
        ({"CI_PIPELINE_ID": "8", "CI_JOB_NAME": "unit tests 3/5"}, "8/unit-tests"),
        ({"CI_PIPELINE_ID": "8", "CI_JOB_NAME": "test: [3.12, {a}]"}, "8/test:-[3.12,--a-]"),
        ({"CI_PIPELINE_ID": "8"}, "8"),
        ({"BUILDKITE_BUILD_ID": "b-1"}, "b-1"),
        ({"CIRCLE_WORKFLOW_ID": "w-1", "CIRCLE_JOB": "test"}, "w-1/test"),
        ({"BUILD_TAG": "jenkins-shop-9"}, "jenkins-shop-9"),
        ({}, None),
    ],
)
def test_a_run_is_named_by_the_ci(environ: dict[str, str], name: str | None) -> None:
    assert run(None, environ) == name


def test_all_jobs_of_one_parallel_are_nodes_of_one_run() -> None:
    names = {run(None, {"CI_PIPELINE_ID": "8", "CI_JOB_NAME": f"t {n}/12"}) for n in range(1, 13)}
    assert len(names) == 1


@pytest.mark.parametrize("name", ["a{b", "a}:plan", "a\nb", "x" * 201])
def test_a_run_that_would_be_another_key_is_refused(name: str) -> None:
    with pytest.raises(QueueOptionError, match="--run: takes at most 200 letters"):
        run(name, {})


# -------------------------------------------------------------------- the server


def test_a_password_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file, other = tmp_path / "word", tmp_path / "other"
    file.write_text("secret\nmore\n")
    other.write_text("other")
    file.chmod(0o600)
    other.chmod(0o400)
    environ = {"QE_QUEUE": URL, "QE_QUEUE_USER": "ann", "QE_QUEUE_PASSWORD": "word"}
    found = server(None, environ=environ)
    assert (found.url, found.user, found.password) == (URL, "ann", "word")
    assert server(None, password_file=str(other), environ=environ).password == "other"
    environ = {"QE_QUEUE_PASSWORD_FILE": str(file)}
    assert server(URL, environ=environ).password == "secret"
    assert server(URL, environ={}).password is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
def test_a_password_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "word"
    file.write_text("secret")
    file.chmod(mode)
    with pytest.raises(QueueOptionError) as caught:
        server(URL, password_file=str(file), environ={})
    text = f"the queue's password file {file}: others may read it (mode {mode:04o}): chmod 600 it"
    assert str(caught.value) == text


@pytest.mark.parametrize("content", [b"", b"\nsecret", b"x" * 512, b"a\0b", b"\xff"])
def test_a_file_without_a_password_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "word"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(QueueOptionError, match=r"first line is empty|no UTF-8"):
        server(URL, password_file=str(file), environ={})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueueOptionError, match="No such file"):
        server(URL, password_file=str(tmp_path / "none"), environ={})
    with pytest.raises(QueueOptionError, match="Is a directory"):
        server(URL, password_file=str(tmp_path), environ={})
    with pytest.raises(QueueOptionError, match="CA file: there is no file"):
        server(URL, ca_file=str(tmp_path / "none"), environ={})


def test_without_a_server_it_is_said_how_to_name_one() -> None:
    with pytest.raises(QueueOptionError, match="--queue=redis://HOST or QE_QUEUE"):
        server(None, environ={})


@pytest.mark.parametrize("name", ["QE_QUEUE_USER", "QE_QUEUE_PASSWORD"])
@pytest.mark.parametrize("value", ["x" * 600, "a\0b", "a\udcffb"])
def test_what_cannot_be_told_to_a_server_is_refused(name: str, value: str) -> None:
    with pytest.raises(QueueOptionError, match=f"{name}: takes at most") as caught:
        server(URL, environ={name: value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://host/1", "redis://host/1"),
        ("redis://ann@host", "redis://ann@host"),
        ("redis://ann:secret@host", "redis://ann:***@host"),
        ("rediss://:secret@host:1/2", "rediss://:***@host:1/2"),
        ("x --qe-queue=redis://a:se@cr/et@host y", "x --qe-queue=redis://a:***@host y"),
        ("redis://ann@shop:secret@host", "redis://ann@shop:***@host"),
        ("redis://:my secret@host", "redis://:***@host"),
        ("redis://host:6379/1 of ann@shop", "redis://host:6379/1 of ann@shop"),
    ],
)
def test_a_password_in_an_address_is_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown
    assert "secret" not in repr(server(text, environ={"QE_QUEUE_PASSWORD": "secret"}))


def test_a_target_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(QueueOptionError, match="no run is given"):
        target(URL, run=None, project="p", root=tmp_path, environ={})
    found = target(URL, run=None, project="p", root=tmp_path, environ={"BUILD_TAG": "t"})
    assert (found.project, found.run, found.server.url) == ("p", "t", URL)


def test_no_two_nodes_have_one_name() -> None:
    names = {queues.node() for _ in range(100)}
    assert len(names) == 100
    assert all(len(name.encode()) < 64 for name in names)


# ------------------------------------------------------------------ the extension

LOADED = (
    "import sys\n"
    "maps = open('/proc/self/maps').read()\n"
    "print('pytest_qe._queue' in sys.modules,"
    " any(name in maps for name in ('_queue.abi3', 'hiredis')))\n"
)


def test_it_is_loaded_where_a_queue_is_asked_for() -> None:
    code = f"import pytest_qe\nimport pytest_qe.plugin\nimport pytest_qe.queues\n{LOADED}"
    asked = f"{code}pytest_qe.queues.extension()\n{LOADED}"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True", "True"]


def test_a_plain_run_does_not_load_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        f"def test_a():\n    exec({LOADED!r}, {{}})\n\n\ndef test_b():\n    pass\n"
    )
    (tmp_path / "conftest.py").write_text(
        f"def pytest_unconfigure():\n    exec({LOADED!r}, {{}})\n"
    )
    environ = {name: of for name, of in os.environ.items() if not name.startswith("QE_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "pytest_qe.plugin", "--qe-parallel=2", "-s", "-q",
         "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path,
        env={**environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("False False") == 2, done.stdout
