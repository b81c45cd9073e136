"""The texts of PKU-MMD: skeletons of a video, its labels, and the split files (docs/data.md)."""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scdnet.data.store import FRAME_SHAPE
from scdnet.raw.datasets import class_names
from scdnet.raw.raw_files import LARGEST, MAX_FRAMES, RawFileError, check_at_most, show
from scdnet.raw.text_numbers import Words, parse_rows

NUM_COLUMNS = 150  # of a video's line: 2 bodies x 25 joints x (x y z)
NUM_FIELDS = 4  # of a label's line: class, start, end, confidence
MAX_FAULTS = 20  # lines of a video that are named one by one
MAX_ACTIONS = 10_000  # lines of a label file; published ones have some 20
MAX_BYTES_OF_LISTS = 2**20  # of label and split files
BLOCK_BYTES = 2**18  # of text whose numbers are looked for at a time
TRAINING_LINE, TEST_LINE = 2, 4  # of a split file, from 1; the lines before them are headings
COUNT = re.compile(r"[0-9]{1,9}")


class Fault(NamedTuple):
    """A line that cannot be used, and why."""

    line: int  # from 1
    reason: str


class Video(NamedTuple):
    """The skeletons of a video."""

    frames: (
        np.ndarray
    )  # (T, M, V, C) float64 metres, camera frame; nan where the frame's line is at fault
    faults: list[Fault]


class Action(NamedTuple):
    """A line of a label file."""

    line: int  # from 1
    label: int  # class, from 0
    start: int  # first frame, from 1
    end: int  # last frame, itself included


class Split(NamedTuple):
    """The names of the videos on either side of a benchmark."""

    train: frozenset[str]
    test: frozenset[str]


def parse_video(data: bytes, where: str) -> Video:
    """Read the skeletons of a video, a frame a line; blank lines at the end are none.

    Of the lines at fault the first MAX_FAULTS are named. Raises RawFileError if there are more than MAX_FRAMES lines.
    """
    data = data.rstrip()
    check_at_most(MAX_FRAMES, data.count(b"\n") + 1, "lines", where)
    rows, faults = [np.empty((0, NUM_COLUMNS))], []
    for first, words in _blocks_of_words(data, where):
        block = parse_rows(words, NUM_COLUMNS)
        is_sound = (np.abs(block) < LARGEST).all(axis=1)  # nan is not
        for line in np.flatnonzero(~is_sound)[: MAX_FAULTS - len(faults)].tolist():
            faults.append(Fault(first + line + 1, _line_fault(words, line, block[line])))
        block[~is_sound] = np.nan
        rows.append(block)
    frames = np.concatenate(rows).reshape(-1, *FRAME_SHAPE)
    bad = np.flatnonzero(np.isnan(frames[:, 0, 0, 0]))
    if len(bad) > MAX_FAULTS:
        faults.append(
            Fault(
                int(bad[MAX_FAULTS]) + 1,
                f"this line and {len(bad) - MAX_FAULTS - 1} more, likewise",
            )
        )
    return Video(frames, faults)


def parse_labels(data: bytes, where: str) -> tuple[list[Action], list[Fault]]:
    """Read a label file, an action a line; blank lines are counted, but are none.

    Raises RawFileError if there are more than MAX_ACTIONS lines or MAX_BYTES_OF_LISTS.
    """
    data = data.rstrip()
    check_at_most(MAX_ACTIONS, data.count(b"\n") + 1, "lines", where)
    check_at_most(MAX_BYTES_OF_LISTS, len(data), "bytes", where)
    actions, faults = [], []
    for number, line in enumerate(_decode(data).split("\n"), start=1):
        found = _parse_action(number, line.strip()) if line.strip() else None
        if isinstance(found, Action):
            actions.append(found)
        elif found is not None:
            faults.append(found)
    return actions, faults


def parse_split(data: bytes, where: str) -> Split:
    """Read a split file: line 2 names the training videos, line 4 the test videos, with commas between them.

    Blanks and suffixes of the names are left out, and so is what follows the last comma. Raises RawFileError if there
    are fewer lines, or more than MAX_BYTES_OF_LISTS.
    """
    check_at_most(MAX_BYTES_OF_LISTS, len(data), "bytes", where)
    lines = _decode(data).split("\n")
    if len(lines) < TEST_LINE:
        expected = (
            f"training videos in line {TRAINING_LINE} and validation videos in line {TEST_LINE}"
        )
        raise RawFileError(where, len(lines), f"expected {expected}, found the end of the file")
    sides = [lines[number - 1].replace(",", " ").split() for number in (TRAINING_LINE, TEST_LINE)]
    return Split(*(frozenset(name.partition(".")[0] for name in side) for side in sides))


def _parse_action(number: int, line: str) -> Action | Fault:
    fields = [field.strip() for field in line.split(",")]
    numbers = [int(field) for field in fields[: NUM_FIELDS - 1] if COUNT.fullmatch(field)]
    if len(fields) != NUM_FIELDS or len(numbers) != NUM_FIELDS - 1:
        return Fault(number, f"expected class,start,end,confidence, found {show(line)}")
    label, start, end = numbers
    num_classes = len(class_names("pku1"))
    if not 1 <= label <= num_classes:
        return Fault(number, f"class {label}, expected 1..{num_classes}")
    if start > end:
        return Fault(number, f"frames {start}..{end}, expected an end that is not before the start")
    return Action(number, label - 1, start, end)


def _line_fault(words: Words, line: int, row: np.ndarray) -> str:
    found = words.columns()[line]
    if found != NUM_COLUMNS:
        return f"expected {NUM_COLUMNS} numbers, found {found}"
    column = int((~(np.abs(row) < LARGEST)).argmax())
    return f"expected {NUM_COLUMNS} finite numbers, found {words.show(line, column)} as number {column + 1}"


def _blocks_of_words(data: bytes, where: str) -> Iterator[tuple[int, Words]]:
    """The words of whole lines, block by block, each with the number of lines before it."""
    start = num_lines = 0
    while start < len(data):
        end = data.find(b"\n", start + BLOCK_BYTES) + 1 or len(data)
        words = Words.tokenize(data[start:end], where)
        yield num_lines, words
        start, num_lines = end, num_lines + words.num_lines


def _decode(data: bytes) -> str:
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")
