"""Adds the check of the notebooks' figures to every run of pytest.

It stands here and not in tests/ because `pytest --nbval notebooks` loads no conftest.py from there.
"""

from notebook_figures import pytest_runtest_call

__all__ = ["pytest_runtest_call"]
