"""The text files of PKU-MMD: skeletons of a video, its labels, and the split files."""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scdnet.data.store import FRAME_SHAPE
from scdnet.raw.datasets import class_names
from scdnet.raw.raw_files import MAX_COORDINATE, MAX_FRAMES, RawFileError, check_at_most, quote
from scdnet.raw.text_numbers import Words, parse_rows

# Numbers on a line of a video: 2 bodies x 25 joints x (x y z).
NUM_COLUMNS = 150
# Fields on a line of a label file: class, start, end, confidence.
NUM_FIELDS = 4
# Bad lines of a video that are listed one by one.
MAX_FAULTS = 20
# Limits of label and split files; a published label file has some 20 lines.
MAX_ACTIONS = 10_000
MAX_LIST_BYTES = 2**20
# Bytes of a video that are tokenized at a time.
BLOCK_BYTES = 2**18
# Lines of a split file, from 1; the lines before them are headings.
TRAINING_LINE = 2
TEST_LINE = 4
COUNT = re.compile(r"[0-9]{1,9}")


class Fault(NamedTuple):
    """A line, from 1, that cannot be used, and the reason."""

    line: int
    reason: str


class Video(NamedTuple):
    """The skeletons of a video: float64 metres in the camera frame, NaN where a line is faulty."""

    frames: np.ndarray  # (T, M, V, C)
    faults: list[Fault]


class Action(NamedTuple):
    """A line of a label file; lines and frames count from 1, and the end frame is included."""

    line: int
    label: int
    start: int
    end: int


class Split(NamedTuple):
    """The names of the training and test videos of a benchmark."""

    train: frozenset[str]
    test: frozenset[str]


def parse_video(data: bytes, where: str) -> Video:
    """Parse the skeletons of a video, one frame per line; blank lines at the end are ignored.

    Only the first MAX_FAULTS faulty lines are listed one by one.
    Raises RawFileError if there are more than MAX_FRAMES lines.
    """
    data = data.rstrip()
    check_at_most(MAX_FRAMES, data.count(b"\n") + 1, "lines", where)
    rows = [np.empty((0, NUM_COLUMNS))]
    faults: list[Fault] = []
    for num_lines_before, words in _tokenize_blocks(data, where):
        block = parse_rows(words, NUM_COLUMNS)
        # NaN is not below the limit either.
        is_valid = (np.abs(block) < MAX_COORDINATE).all(axis=1)
        for line in np.flatnonzero(~is_valid)[: MAX_FAULTS - len(faults)].tolist():
            reason = _describe_fault(words, line, block[line])
            faults.append(Fault(num_lines_before + line + 1, reason))
        block[~is_valid] = np.nan
        rows.append(block)
    frames = np.concatenate(rows).reshape(-1, *FRAME_SHAPE)
    bad_frames = np.flatnonzero(np.isnan(frames[:, 0, 0, 0]))
    num_unlisted = len(bad_frames) - MAX_FAULTS
    if num_unlisted > 0:
        reason = f"this line and {num_unlisted - 1} others cannot be used either"
        faults.append(Fault(int(bad_frames[MAX_FAULTS]) + 1, reason))
    return Video(frames, faults)


def parse_labels(data: bytes, where: str) -> tuple[list[Action], list[Fault]]:
    """Parse a label file, one action per line; blank lines are counted, but are no actions.

    Raises RawFileError if there are more than MAX_ACTIONS lines or MAX_LIST_BYTES.
    """
    data = data.rstrip()
    check_at_most(MAX_ACTIONS, data.count(b"\n") + 1, "lines", where)
    check_at_most(MAX_LIST_BYTES, len(data), "bytes", where)
    actions = []
    faults = []
    for number, line in enumerate(_decode(data).split("\n"), start=1):
        if not line.strip():
            continue
        parsed = _parse_action(number, line.strip())
        if isinstance(parsed, Action):
            actions.append(parsed)
        else:
            faults.append(parsed)
    return actions, faults


def parse_split(data: bytes, where: str) -> Split:
    """Parse a split file: comma-separated training videos in line 2, test videos in line 4.

    Blanks, suffixes of the names and a comma at the end are ignored. Raises RawFileError if there
    are fewer lines or more than MAX_LIST_BYTES.
    """
    check_at_most(MAX_LIST_BYTES, len(data), "bytes", where)
    lines = _decode(data).split("\n")
    if len(lines) < TEST_LINE:
        sides = f"training videos in line {TRAINING_LINE} and validation videos in line {TEST_LINE}"
        raise RawFileError(where, len(lines), f"expected {sides}, found the end of the file")
    return Split(_parse_names(lines[TRAINING_LINE - 1]), _parse_names(lines[TEST_LINE - 1]))


def _parse_names(line: str) -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in line.replace(",", " ").split())


def _parse_action(number: int, line: str) -> Action | Fault:
    fields = [field.strip() for field in line.split(",")]
    numbers = [int(field) for field in fields[: NUM_FIELDS - 1] if COUNT.fullmatch(field)]
    if len(fields) != NUM_FIELDS or len(numbers) != NUM_FIELDS - 1:
        return Fault(number, f"expected class,start,end,confidence, found {quote(line)}")
    action, start, end = numbers
    num_classes = len(class_names("pku1"))
    if not 1 <= action <= num_classes:
        return Fault(number, f"expected a class in 1..{num_classes}, found {action}")
    if start > end:
        return Fault(number, f"expected a start before the end, found frames {start}..{end}")
    return Action(number, action - 1, start, end)


def _describe_fault(words: Words, line: int, row: np.ndarray) -> str:
    found = words.words_per_line()[line]
    if found != NUM_COLUMNS:
        return f"expected {NUM_COLUMNS} numbers, found {found}"
    column = int((~(np.abs(row) < MAX_COORDINATE)).argmax())
    word = words.quote(line, column)
    return f"expected {NUM_COLUMNS} finite numbers, found {word} as number {column + 1}"


def _tokenize_blocks(data: bytes, where: str) -> Iterator[tuple[int, Words]]:
    """Yield blocks of whole lines: the number of lines before the block, and its words."""
    start = 0
    num_lines = 0
    while start < len(data):
        end = data.find(b"\n", start + BLOCK_BYTES) + 1 or len(data)
        words = Words.tokenize(data[start:end], where)
        yield num_lines, words
        start = end
        num_lines += words.num_lines


def _decode(data: bytes) -> str:
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")
