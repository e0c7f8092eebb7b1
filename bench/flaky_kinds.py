"""What the tests of the flaky corpus do: for each class its kinds, as source.

In the sources `$n` is the number of the kind's use (names are its own), `$rate` how
often it is to fail under its trigger, and `$percent` that rate in whole hundredths.
Each mechanism is one that real suites have; none asks what runs it. Where a cause is no
seed's, its rate comes from the world (noise() of the library), which no seed reaches.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Classes whose tests fail each time that their trigger is there.
DETERMINISTIC = ("order", "brittle", "self", "files", "neighbours")
#: Classes whose tests fail at their rate.
BY_RATE = ("hash", "random", "time", "timing", "resources")

#: What triggers a class, for a reader of the manifest.
TRIGGERS = {
    "order": "runs after a polluter in one process, no cleaner between them",
    "brittle": "runs before its setter, or without it",
    "self": "runs a second time in one process",
    "files": "runs where TMPDIR and HOME are as an earlier run left them",
    "neighbours": "runs while something else holds what it needs",
    "hash": "fails at the rate over values of PYTHONHASHSEED, alike within one",
    "random": "fails at the rate, whatever else is so",
    "time": "fails at the rate over the moments of a second",
    "timing": "fails at the rate over latencies that nothing seeds",
    "resources": "fails at the rate over sizes that nothing seeds, against a limit",
}


@dataclass(frozen=True)
class Kind:
    """Tests that belong together, in the order in which they are defined."""

    state: str  # what the library keeps for them
    roles: tuple[tuple[str, str], ...]  # (role, body)
    fixtures: str = ""
    holds: str = ""  # what a neighbour holds while they fail, as an expression


KINDS: dict[str, list[Kind]] = {
    "order": [
        Kind(
            "LISTENERS_$n = []",
            (
                ("victim", "assert shop.LISTENERS_$n == []"),
                ("polluter", "shop.LISTENERS_$n.append(print)\nassert shop.LISTENERS_$n"),
            ),
        ),
        Kind(
            'def currency_$n():\n    return os.environ.get("SHOP_CURRENCY_$n", "EUR")',
            (
                ("victim", 'assert shop.currency_$n() == "EUR"'),
                ("cleaner", 'os.environ.pop("SHOP_CURRENCY_$n", None)'),
                (
                    "polluter",
                    'os.environ["SHOP_CURRENCY_$n"] = "USD"\nassert shop.currency_$n() == "USD"',
                ),
            ),
        ),
        Kind(
            "class Cart$n:\n    tax = 20",
            (
                ("victim", "assert 100 + shop.Cart$n.tax == 120"),
                ("polluter", "shop.Cart$n.tax = 0\nassert 100 + shop.Cart$n().tax == 100"),
            ),
        ),
        Kind(
            "CACHE_$n = {}",
            (
                ("victim", 'assert shop.CACHE_$n.setdefault("price", 7) == 7'),
                ("polluter", 'shop.CACHE_$n["price"] = 5'),
                ("polluter", 'shop.CACHE_$n.update(price=6)\nassert shop.CACHE_$n["price"] == 6'),
            ),
        ),
    ],
    "brittle": [
        Kind(
            "CONFIG_$n = {}",
            (
                ("setter", 'shop.CONFIG_$n["rate"] = 3\nassert shop.CONFIG_$n'),
                ("brittle", 'assert shop.CONFIG_$n["rate"] == 3'),
            ),
        ),
        Kind(
            "class Connection$n:\n    current = None\n\n"
            "    def open(self):\n        Connection$n.current = self\n"
            '        return "open"',
            (
                ("setter", 'assert shop.Connection$n().open() == "open"'),
                ("brittle", 'assert shop.Connection$n.current.open() == "open"'),
            ),
        ),
        Kind(
            'def language_$n():\n    return os.environ["SHOP_LANGUAGE_$n"]',
            (
                (
                    "setter",
                    'os.environ["SHOP_LANGUAGE_$n"] = "it"\nassert shop.language_$n() == "it"',
                ),
                ("brittle", "assert len(shop.language_$n()) == 2"),
            ),
        ),
    ],
    "self": [
        Kind("PLUGINS_$n = Registry()", (("flaky", 'shop.PLUGINS_$n.register("mail")'),)),
        Kind("IDS_$n = itertools.count(1)", (("flaky", "assert next(shop.IDS_$n) == 1"),)),
        Kind('QUEUE_$n = ["first"]', (("flaky", 'assert shop.QUEUE_$n.pop() == "first"'),)),
    ],
    "files": [
        Kind(
            'DATABASE_$n = SHARED / "shop-$n.db"',
            (("flaky", "with open(shop.DATABASE_$n, 'x') as file:\n    file.write('made')"),),
        ),
        Kind(
            'REPORTS_$n = SHARED / "shop-reports-$n"',
            (
                (
                    "victim",
                    "shop.REPORTS_$n.mkdir(exist_ok=True)\n"
                    "assert list(shop.REPORTS_$n.iterdir()) == []",
                ),
                (
                    "polluter",
                    "shop.REPORTS_$n.mkdir(exist_ok=True)\n"
                    '(shop.REPORTS_$n / "today").write_text("sold: 3")',
                ),
            ),
        ),
        Kind(
            'def profile_$n():\n    return Path.home() / ".shop-$n"',
            (
                (
                    "flaky",
                    "known = shop.profile_$n().exists()\n"
                    "shop.profile_$n().write_text('visited')\nassert not known",
                ),
            ),
        ),
    ],
    "hash": [
        Kind(
            'OFFERS_$n = {f"offer-$n-{i}" for i in range(100)}\n\n\n'
            'def best_$n():\n    return int(next(iter(OFFERS_$n)).rsplit("-", 1)[1])',
            (("flaky", "assert shop.best_$n() >= $percent"),),
        ),
        Kind(
            'def bucket_$n():\n    return hash("customer-$n") % 100',
            (("flaky", "assert shop.bucket_$n() >= $percent"),),
        ),
    ],
    "random": [
        Kind("", (("flaky", "assert random.random() >= $rate"),)),
        Kind(
            "",
            (
                (
                    "flaky",
                    "prices = list(range(10_000))\nrandom.shuffle(prices)\n"
                    "assert prices[0] >= $rate * 10_000",
                ),
            ),
        ),
        Kind("", (("flaky", "assert uuid.uuid4().int / 2**128 >= $rate"),)),
    ],
    "time": [
        Kind(
            "",
            (
                (
                    "flaky",
                    "stamp = shop.stamp()\nshop.spin($rate * 0.05)\nassert shop.stamp() == stamp",
                ),
            ),
        ),
        Kind(
            "",
            (
                (
                    "flaky",
                    "now = time.time()\nexpires = math.floor(now) + 1\n"
                    "assert expires - now > $rate",
                ),
            ),
        ),
    ],
    "timing": [
        Kind(
            "",
            (
                (
                    "flaky",
                    "answered = threading.Event()\n"
                    "timer = threading.Timer(shop.latency(0.01), answered.set)\n"
                    "timer.start()\n"
                    "in_time = answered.wait(0.01 * -math.log($rate))\n"
                    "timer.join()\n"
                    "assert in_time",
                ),
            ),
        ),
        Kind(
            "",
            (
                (
                    "flaky",
                    "count = 0\n\n"
                    "def add(after):\n"
                    "    nonlocal count\n"
                    "    time.sleep(after)\n"
                    "    seen = count\n"
                    "    time.sleep(0.03 * $rate)\n"
                    "    count = seen + 1\n\n"
                    "starts = [0, 0.03 * shop.noise()]\n"
                    "threads = [threading.Thread(target=add, args=[at]) for at in starts]\n"
                    "for thread in threads:\n"
                    "    thread.start()\n"
                    "for thread in threads:\n"
                    "    thread.join()\n"
                    "assert count == 2",
                ),
            ),
        ),
    ],
    "neighbours": [
        Kind(
            "",
            (("flaky", "with shop.server($n):\n    time.sleep(0.02)"),),
            holds="shop.server($n)",
        ),
        Kind(
            "",
            (("flaky", 'with shop.lock("stock-$n"):\n    time.sleep(0.02)'),),
            holds='shop.lock("stock-$n")',
        ),
        Kind(
            "",
            (
                ("flaky", "with shop.server($n):\n    time.sleep(0.01)"),
                ("flaky", "with shop.server($n):\n    time.sleep(0.03)"),
            ),
            holds="shop.server($n)",
        ),
    ],
    "resources": [
        Kind(
            "",
            (
                (
                    "flaky",
                    "with shop.few_files():\n    shop.serve(shop.demand(60, $rate))",
                ),
            ),
        ),
        Kind(
            "",
            (
                (
                    "flaky",
                    "with shop.small_files(500_000):\n"
                    '    (tmp_path / "report").write_bytes(bytes(shop.demand(500_000, $rate)))',
                ),
            ),
            "tmp_path",
        ),
    ],
    "healthy": [
        Kind("", (("healthy", body),), fixtures)
        for fixtures, body in (
            ("", "assert sorted({'b', 'a'}) == ['a', 'b']"),
            ("", "assert random.Random(7).random() == random.Random(7).random()"),
            ("", "assert 0 <= random.random() < 1"),
            ("", "began = time.monotonic()\ntime.sleep(0.005)\nassert time.monotonic() > began"),
            ("tmp_path", "(tmp_path / 'note').write_text('x')\nassert any(tmp_path.iterdir())"),
            ("monkeypatch", "monkeypatch.setenv('SHOP_$n', '1')\nassert 'SHOP_$n' in os.environ"),
            ("settings", "assert settings == {'currency': 'EUR'}"),
            ("ledger", "assert ledger['currency'] == 'EUR'"),
            ("catalogue", "assert catalogue == ['EUR']"),
            ("shelf", "shelf.append(1)\nassert shelf\nshelf.clear()"),
            (
                "",
                "done = threading.Event()\nthread = threading.Thread(target=done.set)\n"
                "thread.start()\nthread.join()\nassert done.is_set()",
            ),
            ("", "assert uuid.uuid4() != uuid.uuid4()"),
            (
                "",
                "with tempfile.TemporaryDirectory() as folder:\n    assert not os.listdir(folder)",
            ),
            ("", "with shop.few_files() as most:\n    shop.serve(most // 2)"),
            ("", "shop.serve(8)"),
        )
    ],
}
