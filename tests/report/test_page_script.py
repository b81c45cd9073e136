"""The page's own tests of its script, which run in node."""

import re
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
    assert int(re.search(r"^\W+pass (\d+)$", done.stdout, re.MULTILINE)[1]) > 50, done.stdout
