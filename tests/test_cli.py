"""What a command does when nobody reads its output any more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_unread(body: str, stream: str) -> subprocess.CompletedProcess:
    """Run a command whose `stream` is a pipe that has lost its reader; the other one is kept."""
    reader, writer = os.pipe()
    os.close(reader)
    program = (
        "import os, sys\nfrom scdnet.cli import run_command\n"
        f"def main():\n    {body}\nrun_command(main)"
    )
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    try:
        return subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, text=True, env=buffered, **streams
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "lines", [1, 100_000]
)  # that stay in a buffer until the end, and that do not
def test_output_that_nobody_reads_ends_a_command_quietly(lines: int):
    done = run_unread(f"print('line\\\\n' * {lines})", "stdout")
    assert (done.returncode, done.stderr) == (141, "")


def test_so_do_messages_that_nobody_reads():
    done = run_unread("print('result'); print('message', file=sys.stderr, flush=True)", "stderr")
    assert (done.returncode, done.stdout) == (141, "result\n")


def test_another_broken_pipe_is_an_error():
    done = run_unread(
        "reader, writer = os.pipe(); os.close(reader); os.write(writer, b'x')", "stdin"
    )
    assert done.returncode == 2
    assert done.stderr == "error: [Errno 32] Broken pipe\n"
