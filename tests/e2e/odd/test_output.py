"""Set-up and tear-down of a module print as well."""

import pytest

# A module that several workers share is set up in each, and prints there: kept together.
pytestmark = pytest.mark.xdist_group("output")


@pytest.fixture(scope="module", autouse=True)
def noisy():
    print("module set-up")
    yield
    print("module tear-down")


@pytest.fixture(autouse=True)
def each(request):
    print(f"set-up of {request.node.name}")
    yield
    print(f"tear-down of {request.node.name}")


def test_one():
    print("one")
    raise AssertionError("one")


def test_two():
    print("two")
    raise AssertionError("two")


def test_three(capsys):
    print("three")
    assert capsys.readouterr().out == "3\n"


def test_four(capfd, caplog):
    print("four")
    caplog.set_level("INFO")
    raise AssertionError(capfd.readouterr().out)
