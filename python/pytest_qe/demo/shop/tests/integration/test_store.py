import time

from shop import Store


def test_a_price_is_kept(tmp_path):
    Store(tmp_path / "a.db").put("tea", 450)
    time.sleep(0.5)
    assert Store(tmp_path / "a.db").get("tea") == 450


def test_there_is_no_price(tmp_path):
    assert Store(tmp_path / "a.db").get("tea") is None
