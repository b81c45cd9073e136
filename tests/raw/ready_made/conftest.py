"""Fixtures of the tests of ready-made formats."""

import pytest

from tests.raw.ready_made.ctrgcn_files import NAMES


@pytest.fixture
def names_file(tmp_path):
    """Write the list of names of the files in ctrgcn_files.py."""
    path = tmp_path / "skes_available_name.txt"
    path.write_text("".join(f"{name}\n" for name in NAMES))
    return path
