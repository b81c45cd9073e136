"""Accidents around a conversion, for both converters: no file is lost, none is half written.

Every error is one clear line.
"""

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from scdnet.cli import run_command
from scdnet.commands import prepare_ntu, prepare_pku
from scdnet.data.store import open_sequences
from scdnet.data.store_writer import WRITE_FRAMES
from tests.raw_trees import PkuTree, PkuVideo

NUM_RECORDINGS = 6
NUM_FRAMES = 4
# Enough to be written in several parts.
NUM_LONG_FRAMES = 2 * WRITE_FRAMES // NUM_RECORDINGS


class Done(NamedTuple):
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


class Converter(NamedTuple):
    """A converter, something for it to convert, and the recordings below `raw`."""

    main: Callable[[list[str]], int]
    dataset: str
    raw: Path
    recordings: list[str]

    def arguments(self, out: Path, raw: Path | None = None) -> list[str]:
        return ["--dataset", self.dataset, "--raw", str(raw or self.raw), "--out", str(out)]

    @property
    def module(self) -> str:
        return self.main.__module__


def make_ntu(root: Path, skeleton_text: Callable[..., str], num_frames: int) -> Converter:
    text = skeleton_text((1,) * num_frames)
    files = [f"S001C001P001R{number:03}A001.skeleton" for number in range(NUM_RECORDINGS)]
    for file in files:
        (root / file).write_text(text)
    return Converter(prepare_ntu.main, "ntu60", root, files)


def make_pku(root: Path, _: Callable[..., str], num_frames: int) -> Converter:
    tree = PkuTree.below(root)
    names = [f"{number:04}-L" for number in range(NUM_RECORDINGS)]
    text = PkuVideo.of((1,) * num_frames).text
    for name in names:
        (tree.videos / f"{name}.txt").write_text(text)
        (tree.labels / f"{name}.txt").write_text(f"1,1,{num_frames},1\n")
    for benchmark in ("subject", "view"):
        tree.write_split(f"cross-{benchmark}.txt", names[::2], names[1::2])
    return Converter(prepare_pku.main, "pku1", root, [f"skeleton/{name}.txt" for name in names])


posix_only = pytest.mark.skipif(os.name != "posix", reason="needs signals, limits and pipes")
both_converters = pytest.mark.parametrize("make", [make_ntu, make_pku], ids=["ntu", "pku"])


@pytest.fixture(scope="module", params=[make_ntu, make_pku], ids=["ntu", "pku"])
def converter(request, tmp_path_factory, skeleton_text) -> Converter:
    """A converter and short recordings."""
    return request.param(tmp_path_factory.mktemp("raw"), skeleton_text, NUM_FRAMES)


@pytest.fixture(scope="module", params=[make_ntu, make_pku], ids=["ntu", "pku"])
def long_converter(request, tmp_path_factory, skeleton_text) -> Converter:
    """A converter and recordings that are written in several parts."""
    return request.param(tmp_path_factory.mktemp("raw"), skeleton_text, NUM_LONG_FRAMES)


@pytest.fixture
def run(capfd: pytest.CaptureFixture) -> Callable[..., Done]:
    """Runs a converter in this process, as its command would."""

    def call(converter: Converter, out: Path, *options: str, raw: Path | None = None) -> Done:
        arguments = [*converter.arguments(out, raw), "--workers", "1", *options]
        with pytest.raises(SystemExit) as stopped:
            run_command(lambda: converter.main(arguments))
        return Done(stopped.value.code, *capfd.readouterr())

    return call


def run_program(program: str, converter: Converter, out: Path, *options: str) -> Done:
    """Run a program that calls a converter, in a process of its own; wait for all its processes."""
    done = subprocess.run(
        [sys.executable, "-c", program, converter.module, *converter.arguments(out), *options],
        capture_output=True,
        text=True,
        timeout=600,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def assert_one_line(done: Done, *words: str) -> None:
    """Check for status 2 and one line that tells what is wrong."""
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.status == 2 and len(lines) == 1 and "Traceback" not in done.err, done.err
    assert all(word in lines[0] for word in words), lines[0]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# No file may have more than 1 MB, as on a full disk; a part of a store has more.
ON_A_FULL_DISK = """
import importlib, resource, signal, sys
from scdnet.cli import run_command
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
module = importlib.import_module(sys.argv[1])
run_command(lambda: module.main(sys.argv[2:]))
"""


@posix_only
def test_a_full_disk_leaves_the_earlier_store(long_converter, tmp_path):
    out = tmp_path / "a.h5"
    earlier = b"\x89HDF\r\n\x1a\n of an earlier store"
    out.write_bytes(earlier)
    done = run_program(ON_A_FULL_DISK, long_converter, out, "--overwrite", "--workers", "1")
    assert_one_line(done, f"{out}: cannot be written (File too large)")
    assert names_in(tmp_path) == ["a.h5"] and out.read_bytes() == earlier


# A part of the store has been written when the fifth of six recordings is appended.
KILLED = """
import importlib, os, signal, sys
from scdnet.data.store_writer import StoreWriter
append = StoreWriter.append
def append_or_die(writer, sequence):
    append(writer, sequence)
    if len(writer.table().name) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
StoreWriter.append = append_or_die
importlib.import_module(sys.argv[1]).main(sys.argv[2:])
"""


@posix_only
def test_a_killed_run_leaves_no_store_and_can_be_started_again(long_converter, tmp_path, run):
    out = tmp_path / "a.h5"
    # The pipes of its output close only when the workers have ended as well.
    killed = run_program(KILLED, long_converter, out, "--workers", "2")
    assert killed.status == -signal.SIGKILL, killed.err
    assert names_in(tmp_path) == ["a.h5.tmp"]
    assert (tmp_path / "a.h5.tmp").stat().st_size > 1_000_000
    assert run(long_converter, out).status == 0
    assert names_in(tmp_path) == ["a.h5"]
    assert len(open_sequences(out)) == NUM_RECORDINGS


def test_an_output_directory_that_cannot_be_made_is_an_error(converter, tmp_path, run):
    (tmp_path / "file").touch()
    done = run(converter, tmp_path / "file" / "a.h5")
    assert_one_line(done, f"{tmp_path / 'file' / 'a.h5'}: cannot create its directory")


@pytest.mark.skipif(not os.access("/sys", os.F_OK), reason="needs a directory without write access")
def test_an_output_directory_that_is_not_writable_is_an_error(converter, run):
    assert_one_line(run(converter, Path("/sys/a.h5")), "/sys/a.h5: cannot be written (")


# A broken link, a pipe whose reader would wait for ever, and a file that nobody may read but root,
# who finds it empty.
SPOILS: tuple[Callable[[Path], None], ...] = (
    lambda path: path.symlink_to("nowhere"),
    lambda path: os.mkfifo(path),
    lambda path: path.touch(mode=0),
)
CONVERT = """
import importlib, sys
sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))
"""


@posix_only
@both_converters
def test_files_that_cannot_be_read_are_listed_and_the_others_converted(
    make, tmp_path, skeleton_text
):
    raw = tmp_path / "raw"
    raw.mkdir()
    converter = make(raw, skeleton_text, NUM_FRAMES)
    spoiled = [raw / recording for recording in converter.recordings[: len(SPOILS)]]
    for path, spoil in zip(spoiled, SPOILS, strict=True):
        path.unlink()
        spoil(path)
    # A process of its own: a reader that waits for the pipe would stop this one.
    done = run_program(CONVERT, converter, tmp_path / "a.h5", "--workers", "1")
    num_converted = NUM_RECORDINGS - len(SPOILS)
    assert f"Converted {num_converted}, skipped 0 (missing list), rejected " in done.out
    listed = (tmp_path / "a.h5.rejected.tsv").read_text()
    assert all(str(path) in listed for path in spoiled)
    assert len(open_sequences(tmp_path / "a.h5")) == num_converted


def test_a_damaged_member_of_a_zip_with_names_that_lead_out_of_it(converter, tmp_path, run):
    folder = tmp_path / "some" / "where"
    folder.mkdir(parents=True)
    archive = folder / "raw.zip"
    recording = converter.recordings[2]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(path for path in converter.raw.rglob("*") if path.is_file()):
            file.write(path, f"../../{path.relative_to(converter.raw)}")
        member = file.getinfo(f"../../{recording}")
    data = bytearray(archive.read_bytes())
    # A local header without its name has 30 bytes.
    start = member.header_offset + 30 + len(member.filename)
    data[start : start + member.compress_size] = bytes(member.compress_size)
    archive.write_bytes(data)
    done = run(converter, folder / "a.h5", raw=archive)
    expected = f"Converted {NUM_RECORDINGS - 1}, skipped 0 (missing list), rejected 1."
    assert expected in done.out
    listed = (folder / "a.h5.rejected.tsv").read_text()
    assert f"{recording}\t0\tcannot be read: " in listed
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {folder / name for name in ("raw.zip", "a.h5", "a.h5.rejected.tsv")}


def test_of_names_found_in_two_roots_the_first_is_used(converter, tmp_path, run):
    done = run(converter, tmp_path / "a.h5", "--raw", str(converter.raw))
    # Of PKU-MMD both videos and labels are duplicates.
    num_rejected = NUM_RECORDINGS * (2 if converter.dataset == "pku1" else 1)
    expected = f"Converted {NUM_RECORDINGS}, skipped 0 (missing list), rejected {num_rejected}."
    assert expected in done.out
    rows = (tmp_path / "a.h5.rejected.tsv").read_text().splitlines()[1:]
    assert all("\t0\thas the same name as " in row for row in rows)


def test_an_empty_folder_converts_nothing_and_warns(converter, tmp_path, run):
    (tmp_path / "raw").mkdir()
    done = run(converter, tmp_path / "a.h5", raw=tmp_path / "raw")
    assert done.status == 1
    assert f"warning: {tmp_path / 'raw'}: contains no file that ends in " in done.err
    assert names_in(tmp_path) == ["raw"]
