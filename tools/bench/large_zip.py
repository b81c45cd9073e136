"""A zip of NTU-120's size, quickly made: each compressed recording lies there under many names."""

import zipfile
import zlib
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.raw.datasets import missing_names
from scdnet.raw.ntu import SUFFIX, format_skeleton
from scdnet.synthetic.actions import ACTIONS
from scdnet.synthetic.dataset import DemoPlan, perform_take, record_take

NUM_RECORDINGS = 114_000
# The largest numbers in the names of NTU-120: setup, camera, subject, replication, action.
NAME_SHAPE = (32, 3, 106, 2, 120)
# Recordings of different content; a fifth of them shows two people, as in NTU-120.
NUM_CONTENTS = 2_000
PAIR_EVERY = 5
# The demo's recordings have 88 frames on average, those of NTU-120 some 70: the end is cut off.
KEPT_FRACTION = 0.8
# Four replications contain enough recordings of two people.
PLAN = DemoPlan(replications=4)


class Content(NamedTuple):
    """The compressed content of a member of a zip, and what its headers state of it."""

    data: bytes
    size: int
    crc: int


def recording_names(num: int) -> list[str]:
    """Draw `num` names of recordings of NTU-120, sorted; more of them include the same ones."""
    numbers = np.random.default_rng(0).permutation(int(np.prod(NAME_SHAPE)))
    # A part of them is on the list of missing recordings, which are not converted.
    drawn = np.stack(np.unravel_index(numbers[: 2 * num], NAME_SHAPE), axis=1) + 1
    names = ("S{:03}C{:03}P{:03}R{:03}A{:03}".format(*row) for row in drawn.tolist())
    missing = missing_names("ntu120")
    return sorted(islice((name for name in names if name not in missing), num))


def synthetic_recordings(*, num_bodies: int) -> Iterator[str]:
    """Yield the text of recordings of the demo that show so many people."""
    for take in PLAN.takes():
        if ACTIONS[take.action].num_bodies != num_bodies:
            continue
        performance = perform_take(take, PLAN)
        for camera in range(1, PLAN.cameras + 1):
            frames = record_take(performance, take, PLAN, number=camera)
            yield format_skeleton(frames[: round(KEPT_FRACTION * len(frames))])


def compress_recordings(num: int) -> list[Content]:
    """Return `num` compressed recordings, every fifth of two people."""
    singles = synthetic_recordings(num_bodies=1)
    pairs = synthetic_recordings(num_bodies=2)
    contents = []
    for number in range(num):
        text = next(pairs if number % PAIR_EVERY == 0 else singles).encode()
        # A stream of a zip has neither the header nor the checksum of zlib.
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = compressor.compress(text) + compressor.flush()
        contents.append(Content(data, len(text), zlib.crc32(text)))
    return contents


def write_large_zip(path: Path, *, num_recordings: int, num_contents: int = NUM_CONTENTS) -> None:
    """Write a zip of `num_recordings` members that share `num_contents` contents.

    The content of a member is written as it is, compressed already, which zipfile has no function
    for; it writes the directory at the end.
    """
    contents = cycle(compress_recordings(num_contents))
    with zipfile.ZipFile(path, "w") as archive:
        assert archive.fp is not None, "open for writing"
        for name, content in zip(recording_names(num_recordings), contents, strict=False):
            member = zipfile.ZipInfo(f"nturgb+d_skeletons/{name}{SUFFIX}")
            member.compress_type = zipfile.ZIP_DEFLATED
            member.compress_size = len(content.data)
            member.file_size = content.size
            member.CRC = content.crc
            member.header_offset = archive.fp.tell()
            archive.fp.write(member.FileHeader())
            archive.fp.write(content.data)
            archive.filelist.append(member)
        # The directory comes here.
        archive.start_dir = archive.fp.tell()
