"""Plugins that keep something outside of the process: databases, snapshots."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Qe

STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])


def parallel(start: str) -> tuple[str, str]:
    return "--qe-parallel=2", f"--qe-start={start}"


# --------------------------------------------------------------- pytest-django


@STARTS
def test_django_has_a_database_for_each_worker(qe: Qe, start: str) -> None:
    qe.use("django")
    qe.files(
        settings="""
        import os
        SECRET_KEY = "x"
        INSTALLED_APPS = ["shop"]
        DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
        ROOT_URLCONF = "urls"
        ALLOWED_HOSTS = ["*"]
        here = os.path.dirname(__file__)
        DATABASES = {"default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(here, "db.sqlite3"),
            "TEST": {"NAME": os.path.join(here, "test.sqlite3")},
        }}
        """,
        urls="""
        from django.http import HttpResponse
        from django.urls import path
        urlpatterns = [path("hello", lambda request: HttpResponse("hello"))]
        """,
        shop__models="""
        from django.db import models
        class Item(models.Model):
            name = models.CharField(max_length=20, unique=True)
        """,
        shop____init__="",
        test_shop="""
        import os, time
        import pytest
        from django.test import TestCase, TransactionTestCase
        from shop.models import Item
        def names():
            time.sleep(0.05)
            return sorted(Item.objects.values_list("name", flat=True))
        @pytest.mark.django_db
        @pytest.mark.parametrize("value", range(8))
        def test_alone(value):
            from django.db import connection
            with open("databases", "a") as file:
                file.write(os.path.basename(str(connection.settings_dict["NAME"])) + "\\n")
            Item.objects.create(name="same")
            assert names() == ["same"]
        @pytest.mark.django_db(transaction=True)
        def test_transaction():
            Item.objects.create(name="same")
            assert names() == ["same"]
        def test_client(client): assert client.get("/hello").content == b"hello"
        def test_no_database(): Item.objects.count()
        class TestUnit(TestCase):
            @classmethod
            def setUpTestData(cls): Item.objects.create(name="of the class")
            def test_1(self): assert names() == ["of the class"]
            def test_2(self): assert names() == ["of the class"]
        class TestTransaction(TransactionTestCase):
            def test_it(self): assert names() == []
        def test_settings(settings):
            settings.SECRET_KEY = "y"
        @pytest.mark.django_db
        def test_queries(django_assert_num_queries):
            with django_assert_num_queries(1): list(Item.objects.all())
        def test_mail(mailoutbox):
            from django.core.mail import send_mail
            send_mail("subject", "body", "from@example", ["to@example"])
            assert len(mailoutbox) == 1
        """,
    )
    (qe.path / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = settings\n"
                                        "pythonpath = .\n")  # fmt: skip
    serial = qe.run()
    assert serial.parseoutcomes() == {"passed": 16, "failed": 1}
    assert set(qe.lines("databases")) == {"test.sqlite3"}
    (qe.path / "databases").unlink()
    result = qe.run(*parallel(start))
    assert result.parseoutcomes() == serial.parseoutcomes()
    result.stdout.fnmatch_lines(["*Database access not allowed*"])
    assert set(qe.lines("databases")) <= {"test.sqlite3_gw0", "test.sqlite3_gw1",
                                          "test_gw0.sqlite3", "test_gw1.sqlite3"}  # fmt: skip
    assert list(qe.path.glob("*sqlite3*")) == [], "each is destroyed at the end"
    # --reuse-db keeps them, and the next run finds them.
    for _ in range(2):
        assert qe.run(*parallel(start), "--reuse-db", "-k", "alone").ret == 0
    assert list(qe.path.glob("test*gw0*")) != []


# ---------------------------------------------------------------------- syrupy

SNAPSHOTS = """
    import time
    import pytest
    @pytest.mark.parametrize("value", range(6))
    def test_value(snapshot, value):
        time.sleep(0.03)
        assert {"value": value} == snapshot
    def test_named(snapshot):
        assert "one" == snapshot(name="first")
        assert "two" == snapshot(name="second")
    def test_none(): pass
"""


def summary(result: pytest.RunResult) -> list[str]:
    """syrupy's part of the output."""
    lines = result.outlines
    heads = [i for i, line in enumerate(lines) if "snapshot report summary" in line]
    if not heads:
        return []
    found = []
    for line in lines[heads[0] + 1 :]:
        if line.startswith(("=", "qe: ")):
            break
        found.append(line)
    return sorted(found)


def snapshots(qe: Qe) -> dict[str, str]:
    return {p.name: p.read_text("utf-8") for p in (qe.path / "__snapshots__").iterdir()}


@pytest.mark.parametrize(
    ("plugins", "start"),
    [(("syrupy",), "fork"), (("syrupy",), "spawn"), (("syrupy", "xdist"), "fork")],
    ids=str,
)
def test_syrupy(qe: Qe, plugins: tuple[str, ...], start: str) -> None:
    """Written, matched, failed, unused and updated as serially."""
    qe.use(*plugins)
    folder = qe.path / "__snapshots__"

    def step(*args: str) -> None:
        """Runs from the same snapshots twice."""
        before = qe.path / "before"
        shutil.rmtree(before, ignore_errors=True)
        if folder.exists():
            shutil.copytree(folder, before)
        results = []
        for more in ((), parallel(start)):
            shutil.rmtree(folder, ignore_errors=True)
            if before.exists():
                shutil.copytree(before, folder)
            result = qe.run(*args, *more)
            kept = snapshots(qe) if folder.exists() else {}
            results.append((result.ret, result.parseoutcomes(), summary(result), kept))
        assert results[1] == results[0]
        assert results[0][2] != [] or not results[0][3]

    qe.files(test_a=SNAPSHOTS, test_b=SNAPSHOTS)
    step("--snapshot-update")
    step()
    qe.files(test_a=SNAPSHOTS.replace("range(6)", "range(1, 4)").replace('"one"', '"other"'))
    step("--snapshot-details")  # failed and unused
    step("--snapshot-update")


def test_snapshots_of_a_worker_that_died_are_kept(qe: Qe) -> None:
    qe.use("syrupy")
    qe.files(test_a=SNAPSHOTS)
    assert qe.run("--snapshot-update").ret == 0
    before = snapshots(qe)
    qe.files(test_a=SNAPSHOTS.replace("pass", "import os; os.abort()"))
    result = qe.run("--qe-parallel=2", "--snapshot-update")
    assert result.parseoutcomes() == {"passed": 7, "failed": 1}
    assert snapshots(qe) == before
    result.stdout.fnmatch_lines(["qe: warning: * died: syrupy does not look for unused*"])


# ----------------------------------------------------------- pytest-postgresql


def pg_ctl() -> Path:
    """A real PostgreSQL of this system."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    found += [Path(path) for path in [shutil.which("pg_ctl")] if path]
    if not found:
        pytest.skip("PostgreSQL is not installed: pg_ctl is missing (Debian: postgresql)")
    return found[-1]


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="qe-postgresql-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@STARTS
def test_postgresql_has_a_server_for_each_worker(qe: Qe, start: str, reachable: Path) -> None:
    qe.use("pytest_postgresql")
    program = pg_ctl()
    base = reachable / "base"
    if os.getuid() == 0:
        # PostgreSQL refuses to run as root.
        wrapper = reachable / "pg_ctl"
        wrapper.write_text(
            f"#!/bin/sh\nchmod a+rwx {base} {base}/* {base}/*/pytest-postgresql*\n"
            "cd / && exec setpriv --reuid=nobody --regid=nogroup --clear-groups "
            f'{program} "$@"\n'
        )
        wrapper.chmod(0o755)
        program = wrapper
    qe.files(
        conftest=f"""
        from pytest_postgresql import factories
        proc = factories.postgresql_proc(executable="{program}", port=None, unixsocketdir="/tmp")
        client = factories.postgresql("proc")
        """,
        test_it="""
        import pytest
        @pytest.mark.parametrize("value", range(4))
        def test_it(client, proc, worker_id, value):
            with open("servers", "a") as file: file.write(f"{worker_id} {proc.port}\\n")
            with client.cursor() as cursor:
                cursor.execute("create table mine (value int)")
                cursor.execute("insert into mine values (%s)", (value,))
                cursor.execute("select value from mine")
                assert cursor.fetchall() == [(value,)]
        """,
    )
    result = qe.run(*parallel(start), "--qe-dist=loadgroup", f"--basetemp={base}")
    assert result.parseoutcomes() == {"passed": 4}
    servers = set(qe.lines("servers"))
    assert {line.split()[0] for line in servers} <= {"gw0", "gw1"}
    assert len(servers) == len({line.split()[1] for line in servers}), "a port for each"
