"""The sample project's own code: a shop with a price list in SQLite."""

import sqlite3


def total(prices, discount=0.0):
    return round(sum(prices) * (1 - discount), 2)


class Store:
    def __init__(self, path):
        self._db = sqlite3.connect(path)
        self._db.execute("create table if not exists price (name text primary key, cents int)")

    def put(self, name, cents):
        self._db.execute("insert or replace into price values (?, ?)", (name, cents))
        self._db.commit()

    def get(self, name):
        row = self._db.execute("select cents from price where name = ?", (name,)).fetchone()
        return row and row[0]
