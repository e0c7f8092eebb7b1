import os
import time
import urllib.request


def test_the_server_answers():
    with urllib.request.urlopen(f"http://127.0.0.1:{os.environ['SHOP_PORT']}/") as answer:
        assert b"shop" in answer.read()
    time.sleep(0.5)
