"""What goes wrong around a conversion, for both converters: nothing is lost, nothing half written, one clear line."""

import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from scdnet.data.store import open_sequences
from tests.raw_fixtures import PkuTree, PkuVideo

PROGRAMS = Path(__file__).parents[2] / "data_prep"
NUM_RECORDINGS, NUM_FRAMES = 60, 300  # some 11 MB: more than is written at a time


class Converter(NamedTuple):
    """A converter and something for it to do."""

    command: list[str]  # but for --raw and --out
    raw: Path
    recording: str  # one of NUM_RECORDINGS, below raw

    def run(self, out: Path, raw: Path | None = None, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.arguments(out, raw), capture_output=True, text=True, check=False, **options
        )

    def arguments(self, out: Path, raw: Path | None = None) -> list[str]:
        return [*self.command, "--raw", str(raw or self.raw), "--out", str(out)]


def make_ntu(root: Path, skeleton_text: Callable) -> Converter:
    text = skeleton_text((1,) * NUM_FRAMES)
    names = [f"S001C001P001R{number:03}A001" for number in range(NUM_RECORDINGS)]
    for name in names:
        (root / f"{name}.skeleton").write_text(text)
    return Converter(
        [sys.executable, str(PROGRAMS / "ntu_gendata.py"), "--dataset", "ntu60"],
        root,
        f"{names[7]}.skeleton",
    )


def make_pku(root: Path, _: Callable) -> Converter:
    tree, video = PkuTree.below(root), PkuVideo.of((1,) * NUM_FRAMES, f"1,1,{NUM_FRAMES},1")
    names = [f"{number:04}-L" for number in range(NUM_RECORDINGS)]
    tree.write(dict.fromkeys(names, video))
    for benchmark in ("subject", "view"):
        tree.write_split(f"cross-{benchmark}.txt", names[::2], names[1::2])
    command = [sys.executable, str(PROGRAMS / "pku_gendata.py"), "--dataset", "pku1"]
    return Converter(command, root, f"skeleton/{names[7]}.txt")


@pytest.fixture(scope="module", params=[make_ntu, make_pku], ids=["ntu", "pku"])
def converter(request, tmp_path_factory, skeleton_text) -> Converter:
    return request.param(tmp_path_factory.mktemp("raw"), skeleton_text)


def assert_one_line(done: subprocess.CompletedProcess, *words: str) -> None:
    """Status 2 and one line that says what is wrong, besides the progress bar's."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2 and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(word in lines[0] for word in words), lines[0]


def limit_file_size() -> None:
    """A disk that is full: no file may have more than 6 MB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, 6_000_000))


def test_a_full_disk_leaves_the_earlier_store(converter, tmp_path):
    out = tmp_path / "a.h5"
    out.write_text("an earlier store")
    done = converter.run(out, preexec_fn=limit_file_size)
    assert done.returncode == 2  # exists
    arguments = [*converter.arguments(out), "--overwrite"]
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, preexec_fn=limit_file_size
    )
    assert_one_line(done, f"{out}: cannot be written (File too large); nothing was changed")
    assert [path.name for path in tmp_path.iterdir()] == [
        "a.h5"
    ] and out.read_text() == "an earlier store"


def test_a_killed_run_leaves_no_store_and_can_be_started_again(converter, tmp_path):
    out, partial = tmp_path / "a.h5", tmp_path / "a.h5.tmp"
    arguments = [*converter.arguments(out), "--workers", "2"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (partial.exists() and partial.stat().st_size > 0) and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL and not out.exists()
    assert converter.run(out).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    assert len(open_sequences(out)) == NUM_RECORDINGS


def test_an_output_folder_that_cannot_be_made_is_said(converter, tmp_path):
    (tmp_path / "file").touch()
    assert_one_line(
        converter.run(tmp_path / "file" / "a.h5"), "file/a.h5: its folder cannot be made"
    )


@pytest.mark.skipif(not os.access("/sys", os.F_OK), reason="no folder that nobody can write to")
def test_an_output_folder_that_is_not_writable_is_said(converter):
    assert_one_line(converter.run(Path("/sys/a.h5")), "/sys/a.h5: cannot be written (")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,  # would let its reader wait for ever
        lambda path: path.touch(mode=0),  # unreadable (and empty for root)
    ],
    ids=["link", "pipe", "mode 0"],
)
def test_a_file_that_cannot_be_read_is_listed_and_the_rest_goes_on(converter, tmp_path, spoil):
    file, aside = converter.raw / converter.recording, tmp_path / "aside"
    file.rename(aside)
    try:
        spoil(file)
        done = converter.run(tmp_path / "a.h5", timeout=60)
    finally:
        file.unlink()
        aside.rename(file)
    assert f"kept {NUM_RECORDINGS - 1}, listed missing 0, rejected " in done.stdout
    assert str(file) in (tmp_path / "a.h5.rejected.tsv").read_text().replace("label", "skeleton")
    assert len(open_sequences(tmp_path / "a.h5")) == NUM_RECORDINGS - 1


def test_a_damaged_member_of_a_zip_with_names_that_lead_out_of_it(converter, tmp_path):
    folder = tmp_path / "some" / "where"
    folder.mkdir(parents=True)
    archive = folder / "raw.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(path for path in converter.raw.rglob("*") if path.is_file()):
            file.write(path, f"../../{path.relative_to(converter.raw)}")
        member = file.getinfo(f"../../{converter.recording}")
    data = bytearray(archive.read_bytes())
    start = member.header_offset + 30 + len(member.filename)  # 30: a local header without its name
    data[start : start + member.compress_size] = bytes(member.compress_size)
    archive.write_bytes(data)
    done = converter.run(folder / "a.h5", raw=archive)
    assert f"kept {NUM_RECORDINGS - 1}, listed missing 0, rejected 1" in done.stdout
    assert (
        f"{converter.recording}\t0\tcannot be read: " in (folder / "a.h5.rejected.tsv").read_text()
    )
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {folder / name for name in ("raw.zip", "a.h5", "a.h5.rejected.tsv")}


def test_names_met_in_two_roots_are_taken_once(converter, tmp_path):
    done = subprocess.run(
        [*converter.arguments(tmp_path / "a.h5"), "--raw", str(converter.raw)],
        capture_output=True,
        text=True,
    )
    twice = 2 if "pku" in str(converter.command) else 1  # video and labels
    assert (
        f"kept {NUM_RECORDINGS}, listed missing 0, rejected {twice * NUM_RECORDINGS}" in done.stdout
    )
    rows = (tmp_path / "a.h5.rejected.tsv").read_text().splitlines()[1:]
    assert all("\t0\tfound before as " in row for row in rows)


def test_an_empty_folder_keeps_nothing_and_says_so(converter, tmp_path):
    (tmp_path / "raw").mkdir()
    done = converter.run(tmp_path / "a.h5", raw=tmp_path / "raw")
    assert (
        done.returncode == 1
        and f"warning: {tmp_path / 'raw'}: no file there ends in " in done.stderr
    )
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
