"""Everything that a report can hold. Half of these tests fail on purpose."""

import logging
import subprocess
import sys
import unittest
import warnings

import pytest


def test_passes():
    pass


def test_difference_of_lists():
    assert [1, 2, 3] == [1, 2, 4]


def test_difference_of_texts():
    assert "one\ntwo\nthree" == "one\n2\nthree"


def test_chained_exceptions():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


def test_output_of_all_kinds():
    print("to standard output")
    print("to standard error", file=sys.stderr)
    logging.getLogger("odd").warning("to the log")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    raise AssertionError("shows all of it")


def test_output_of_a_passed_test():
    print("nobody sees this")


def test_text_that_is_not_ascii():
    print("snowman \N{SNOWMAN}, null \0, escape \x1b[31mred\x1b[0m, surrogate", repr("\udc80"))
    raise AssertionError("\N{SNOWMAN} \udc80 \x00")


@pytest.mark.skip(reason="on purpose")
def test_skip_marker():
    pass


def test_skip_call():
    pytest.skip("in the test")


@pytest.mark.xfail(reason="known")
def test_xfail():
    raise AssertionError("as expected")


@pytest.mark.xfail(reason="known")
def test_xpass():
    pass


@pytest.mark.xfail(reason="known", strict=True)
def test_xpass_strict():
    pass


def test_xfail_call():
    pytest.xfail("in the test")


def test_fail_without_traceback():
    pytest.fail("only a message", pytrace=False)


def test_setup_fails(broken_setup):
    pass


def test_teardown_fails(broken_teardown):
    pass


def test_call_and_teardown_fail(broken_teardown):
    raise AssertionError("call failed too")


def test_warns():
    warnings.warn("from a test", UserWarning, stacklevel=1)


@pytest.mark.parametrize("number", [1, 2])
def test_warns_from_one_line(number):
    warnings.warn("from one line", DeprecationWarning, stacklevel=1)


@pytest.mark.filterwarnings("error")
def test_warning_is_an_error():
    warnings.warn("an error", UserWarning, stacklevel=1)


def test_user_property(record_property):
    record_property("key", "value")
    record_property("an object", object)


def test_xml_attribute(record_testsuite_property):
    record_testsuite_property("suite", "odd")


def test_temporary_directory(tmp_path):
    (tmp_path / "file").write_text("x")
    raise AssertionError(f"in {tmp_path}")


@pytest.mark.parametrize("value", ["", "a b", "a/b", "a::b", "[x]", "\N{SNOWMAN}", "\n", "\x00"])
def test_parameter(value):
    assert value != "a b"


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("second", [3, 4])
def test_parameters(first, second, side):
    assert first + second != 5


class TestClass:
    def setup_method(self):
        self.value = 1

    def test_method(self):
        assert self.value == 2

    class TestInner:
        def test_method(self):
            pass


class Unit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = []

    def test_equal(self):
        self.assertEqual(1, 2)

    def test_skip(self):
        self.skipTest("by unittest")

    @unittest.expectedFailure
    def test_expected_failure(self):
        self.fail("expected")

    @unittest.expectedFailure
    def test_unexpected_success(self):
        pass


# Not unittest's: pytest 9 prints its progress into the captured output of those.
def test_subtests(subtests):
    for number in range(3):
        with subtests.test(f"number {number}", number=number, text="a"):
            print("in", number)
            assert number != 1


class BrokenClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise RuntimeError("class set-up failed")

    def test_one(self):
        pass

    def test_two(self):
        pass


class CustomError(Exception):
    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __repr__


def test_exception_without_a_text():
    raise CustomError


def test_thread_exception():
    import threading

    def work():
        raise RuntimeError("in a thread")

    thread = threading.Thread(target=work, name="worker-of-odd")
    thread.start()
    thread.join()


def test_unraisable():
    class Finalised:
        def __del__(self):
            raise RuntimeError("in a finaliser")

    Finalised()
