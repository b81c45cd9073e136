"""What all tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden numbers and real recordings: $SCDNET_SHARED, by default beside the repository."""
    folder = Path(os.environ.get("SCDNET_SHARED", Path(__file__).parents[1] / ".." / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"no golden numbers in {folder}; set SCDNET_SHARED to the folder that holds golden/ and data/")
    return folder
