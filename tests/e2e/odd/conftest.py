"""Hooks with side effects: in a parallel run each must happen as often as serially."""

import pytest


@pytest.fixture(scope="session")
def session_value():
    return object()


@pytest.fixture(scope="module", params=["left", "right"])
def side(request):
    return request.param


@pytest.fixture
def broken_setup():
    print("printed before the set-up failed")
    raise RuntimeError("set-up failed")


@pytest.fixture
def broken_teardown():
    yield 1
    print("printed before the tear-down failed")
    raise RuntimeError("tear-down failed")


def pytest_runtest_makereport(item, call):
    if call.when == "call" and item.name == "test_user_property":
        item.user_properties.append(("from a hook", 1))


def pytest_terminal_summary(terminalreporter):
    reports = sum(len(entries) for entries in terminalreporter.stats.values())
    terminalreporter.write_line(f"odd: {reports} entries")
