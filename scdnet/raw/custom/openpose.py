"""Key points of OpenPose: a JSON file for each frame, of all people in it (docs/data/own.md)."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from scdnet.raw.custom.array_shapes import suggest_layouts
from scdnet.raw.custom.json_text import parse_json, to_numbers
from scdnet.raw.custom.people import link_people, stack_people
from scdnet.raw.raw_files import MAX_BYTES, MAX_FRAMES, RawFile, RawFileError, check_at_most
from scdnet.skeleton import Skeleton

# OpenPose writes <video>_<frame number>_keypoints.json, or <picture>_keypoints.json.
FRAME_NAME = re.compile(
    r"(?P<recording>.*?)[ _.-]*(?P<number>\d{1,18})(?P<suffix>_keypoints)?\.json",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
PEOPLE = "people"
KEY_POINTS = "pose_keypoints_2d"
# A member of a zip may have a longer name than any file, over which the search would take long.
MAX_NAME = 255
# The first bytes of a file, of which one of OpenPose contains the key PEOPLE.
NUM_PEEKED = 256


class FrameFiles(NamedTuple):
    """A recording whose frames are files; it is used as a RawFile is."""

    # The order is that of their numbers, which rise.
    files: tuple[RawFile, ...]
    numbers: tuple[int, ...]
    # The names begin with it, before the number; it may be empty.
    prefix: str

    @property
    def stem(self) -> str:
        """Return the name of the recording: the prefix, or the name of the folder without one."""
        folder, _ = _split_path(self.files[0])
        return self.prefix or PurePosixPath(folder).name or Path(self.path).stem

    @property
    def relative(self) -> str:
        """Return the path below the folder or zip that was searched, without suffix."""
        folder = PurePosixPath(self.files[0].relative).parent
        return str(folder / self.prefix) if self.prefix or folder.name else self.stem

    @property
    def path(self) -> str:
        """Return the path of the first file, or of the zip."""
        return self.files[0].path

    @property
    def inner(self) -> str:
        """Return the path of the first file in the zip."""
        return self.files[0].inner

    @property
    def where(self) -> str:
        """Return the name of the first file in messages and lists."""
        return self.files[0].where

    def read(self) -> bytes:
        """Return JSON of the body key points of all frames, a list of documents of OpenPose.

        A number between the first and the last that no file has is a frame without people.
        Raises RawFileError, naming the file that cannot be used.
        """
        for number, following, file in zip(
            self.numbers, self.numbers[1:], self.files[1:], strict=False
        ):
            if number == following:
                raise RawFileError(file.where, 0, f"a second file of frame {number}; remove one")
        step = math.gcd(*(number - self.numbers[0] for number in self.numbers)) or 1
        num_frames = (self.numbers[-1] - self.numbers[0]) // step + 1
        check_at_most(MAX_FRAMES, num_frames, "frames", self.where)
        texts = ['{"people": []}'] * num_frames
        num_bytes = 0
        for number, file in zip(self.numbers, self.files, strict=True):
            people = people_of(parse_json(file.read(), file.where), file.where)
            text = json.dumps({PEOPLE: [{KEY_POINTS: points.tolist()} for points in people]})
            num_bytes += len(text)
            check_at_most(MAX_BYTES, num_bytes, "bytes of key points", self.where)
            texts[(number - self.numbers[0]) // step] = text
        return f"[{','.join(texts)}]".encode()


# A converter reads either one as one recording.
Recording = RawFile | FrameFiles


def group_recordings(files: Iterable[RawFile]) -> list[Recording]:
    """Unite the files that are frames of one recording; all others stay as they are.

    They are JSON files of OpenPose in the same folder whose names differ in a number at the end.
    """
    recordings: list[Recording] = []
    frames: dict[tuple[str, str, str], list[tuple[int, RawFile]]] = {}
    for file in files:
        folder, name = _split_path(file)
        match = FRAME_NAME.fullmatch(name[:MAX_NAME])
        if not match or not (match["suffix"] or _is_of_openpose(file)):
            recordings.append(file)
            continue
        key = (file.path if file.inner else "", folder, match["recording"])
        frames.setdefault(key, []).append((int(match["number"]), file))
    for (_, _, prefix), numbered in frames.items():
        numbers, ordered = zip(*sorted(numbered), strict=True)
        recordings.append(FrameFiles(ordered, numbers, prefix))
    return sorted(recordings, key=lambda recording: (recording.path, recording.inner))


def _split_path(file: RawFile) -> tuple[str, str]:
    """Return the folder and the name of a file, or of a member in its zip."""
    path = file.inner.replace("\\", "/") if file.inner else Path(file.path).as_posix()
    folder, _, name = path.rpartition("/")
    return folder, name


def _is_of_openpose(file: RawFile) -> bool:
    """Check whether a file begins as OpenPose writes it; one that cannot be read does not."""
    try:
        head = file.read(NUM_PEEKED)
    except RawFileError:
        return False
    return b'"people"' in head


def people_of(document: object, where: str) -> list[np.ndarray]:
    """Return the key points of each person of a frame of OpenPose as x, y and score: (V * 3,).

    Raises RawFileError for another structure.
    """
    people = document.get(PEOPLE) if isinstance(document, dict) else None
    if not isinstance(people, list):
        raise RawFileError(where, 0, f"expected a list {PEOPLE!r}, as OpenPose writes it")
    found = []
    for number, person in enumerate(people, start=1):
        if not isinstance(person, dict) or KEY_POINTS not in person:
            raise RawFileError(where, 0, f"person {number}: no {KEY_POINTS!r}")
        points = to_numbers(person[KEY_POINTS], where, f"person {number}, {KEY_POINTS}")
        if points.ndim != 1 or len(points) % 3:
            raise RawFileError(
                where, 0, f"person {number}: expected x, y and score of each joint in {KEY_POINTS}"
            )
        # A person may have hands or a face only, or none with --body 0.
        if points.any():
            found.append(points)
    return found


def read_openpose(frames: Sequence[object], where: str, skeleton: Skeleton) -> np.ndarray:
    """Read the documents of all frames: (M, T, V, C) of x, y and score, 0 where absent.

    Raises RawFileError for another structure or another number of joints than the skeleton has.
    """
    if skeleton.dims != 2:
        raise RawFileError(
            where,
            0,
            f"key points of OpenPose are 2-D, {skeleton.name} is 3-D; "
            "use --layout openpose25 --unit px --up -y",
        )
    people = []
    for frame, document in enumerate(frames, start=1):
        rows = people_of(document, f"{where}, frame {frame}" if len(frames) > 1 else where)
        for row in rows:
            _check_size(len(row) // 3, where, skeleton)
        people.append(np.reshape(rows, (len(rows), skeleton.num_joints, 3)))
    tracks = link_people(people, 2)
    if not tracks:
        raise RawFileError(where, 0, f"nobody in any of {len(frames)} frames")
    return stack_people(tracks, len(frames))


def _check_size(num_joints: int, where: str, skeleton: Skeleton) -> None:
    if num_joints == skeleton.num_joints:
        return
    raise RawFileError(
        where,
        0,
        f"expected {skeleton.num_joints} joints of {skeleton.name} in {KEY_POINTS}, "
        f"found {num_joints}; {suggest_layouts(num_joints)}",
    )
