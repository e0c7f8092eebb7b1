"""Makes shop.py importable."""
