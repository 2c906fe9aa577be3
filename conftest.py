"""Settles the threads of every test, and checks the notebooks' figures.

It stands here and not in tests/ because `pytest --nbval notebooks` loads no conftest.py from there.
"""

import os

# Before torch is imported. More threads gain nothing on toy sizes; on busy cores they cost.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from notebook_figures import pytest_runtest_call

__all__ = ["pytest_runtest_call"]
