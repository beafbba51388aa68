"""xpnet and its peers on the same machine: ``nox -s bench``.

The page ``docs/performance.md`` says what is measured, and how.
"""
