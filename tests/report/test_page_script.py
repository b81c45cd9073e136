"""The page's own tests of its script, which run in node."""

import shutil
import subprocess

import pytest

from scdnet.report.bundle import PAGE


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_tests_of_the_script_pass():
    done = subprocess.run(
        ["node", "--test"], cwd=str(PAGE), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout or "ℹ fail 0" in done.stdout, done.stdout
