import time

import pytest
from shop import total


@pytest.mark.parametrize("count", range(8))
def test_total(count):
    time.sleep(0.1)
    assert total([1.5] * count) == 1.5 * count


def test_discount():
    assert total([10, 20], discount=0.1) == 27
