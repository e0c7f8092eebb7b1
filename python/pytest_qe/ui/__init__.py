"""``qe ui``: what runs now, and what the history knows, in a browser.

``liveruns`` reads the files that runs write, ``reading`` the history through the core, ``feed``
sends what has changed, ``acting`` does what a browser may ask for, ``guard`` refuses whom it may
not serve, ``routes`` puts these together and ``serving`` runs them.
"""
