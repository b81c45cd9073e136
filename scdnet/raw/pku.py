"""Recordings of PKU-MMD: from videos and their labels to normalized sequences, one per action."""

import io
import re
import sys
from functools import partial
from typing import NamedTuple

import numpy as np

from scdnet.data.store import MAX_BODIES, SequenceTable, SkeletonSequence
from scdnet.raw.convert import Job, Outcome, Rejection
from scdnet.raw.datasets import class_names
from scdnet.raw.normalize import normalize
from scdnet.raw.pku_tree import MAX_LIST_BYTES, NUM_FIELDS, PARTS, Recording, Tree
from scdnet.raw.raw_files import MAX_COORDINATE, MAX_FRAMES, RawFileError, check_at_most, quote
from scdnet.raw.text_numbers import Words, parse_rows
from scdnet.skeletons import NTU_25

# Some copies have split files without `.txt`.
SUFFIXES = (".txt", "subject", "view", "v2")
# Numbers on a line of a video: 2 bodies x 25 joints x (x y z).
FRAME_SHAPE = (MAX_BODIES, NTU_25.num_joints, 3)
NUM_COLUMNS = 150
# Bad lines of a video that are listed one by one.
MAX_FAULTS = 20
# Lines of a label file.
MAX_ACTIONS = 10_000
# Bytes of a video that are tokenized at a time.
BLOCK_BYTES = 2**18
# Missing videos that a warning names.
MAX_NAMED = 5


class Action(NamedTuple):
    """A line of a label file; lines and frames count from 1, and the end frame is included."""

    line: int
    label: int
    start: int
    end: int


def parse_video(data: bytes, where: str) -> tuple[np.ndarray, list[Rejection]]:
    """Parse the skeletons of a video, one frame per line; blank lines at the end are ignored.

    Returns float64 (T, M, V, C), meters in the camera frame, NaN where a line is faulty, and the
    faulty lines: the first MAX_FAULTS one by one, all others as one.
    Raises RawFileError if there are more than MAX_FRAMES lines.
    """
    data = data.rstrip()
    check_at_most(MAX_FRAMES, data.count(b"\n") + 1, "lines", where)
    blocks = [np.empty((0, NUM_COLUMNS))]
    faults: list[Rejection] = []
    num_lines = 0
    file = io.BytesIO(data)
    while lines := file.readlines(BLOCK_BYTES):
        words = Words.tokenize(b"".join(lines), where)
        block = parse_rows(words, NUM_COLUMNS)
        # NaN is not below the limit either.
        is_valid = (np.abs(block) < MAX_COORDINATE).all(axis=1)
        for line in np.flatnonzero(~is_valid)[: MAX_FAULTS - len(faults)].tolist():
            reason = _describe_fault(words, line, block[line])
            faults.append(Rejection(where, num_lines + line + 1, reason))
        block[~is_valid] = np.nan
        blocks.append(block)
        num_lines += len(block)
    frames = np.concatenate(blocks).reshape(-1, *FRAME_SHAPE)
    bad_frames = np.flatnonzero(np.isnan(frames[:, 0, 0, 0]))
    num_unlisted = len(bad_frames) - MAX_FAULTS
    if num_unlisted > 0:
        faults.append(
            Rejection(
                where,
                int(bad_frames[MAX_FAULTS]) + 1,
                f"this line and {num_unlisted - 1} others cannot be used either",
            )
        )
    return frames, faults


def _describe_fault(words: Words, line: int, row: np.ndarray) -> str:
    found = words.words_per_line()[line]
    if found != NUM_COLUMNS:
        return f"expected {NUM_COLUMNS} numbers, found {found}"
    column = int((~(np.abs(row) < MAX_COORDINATE)).argmax())
    return (
        f"expected {NUM_COLUMNS} finite numbers, "
        f"found {words.quote(line, column)} as number {column + 1}"
    )


def parse_labels(data: bytes, where: str) -> tuple[list[Action], list[Rejection]]:
    """Parse a label file, one action per line, into actions and faulty lines.

    Blank lines are counted, but are no actions. Raises RawFileError if there are more than
    MAX_ACTIONS lines or MAX_LIST_BYTES.
    """
    data = data.rstrip()
    check_at_most(MAX_ACTIONS, data.count(b"\n") + 1, "lines", where)
    check_at_most(MAX_LIST_BYTES, len(data), "bytes", where)
    actions = []
    faults = []
    for number, line in enumerate(data.decode("utf-8-sig", errors="replace").split("\n"), start=1):
        try:
            if line.strip():
                actions.append(parse_action(line.strip(), where, number))
        except RawFileError as error:
            faults.append(Rejection(*error.args))
    return actions, faults


def parse_action(text: str, where: str, line: int) -> Action:
    """Parse a line of a label file. Raises RawFileError if it cannot be used."""
    fields = [field.strip() for field in text.split(",")]
    numbers = [
        int(field) for field in fields[: NUM_FIELDS - 1] if re.fullmatch(r"[0-9]{1,9}", field)
    ]
    if len(fields) != NUM_FIELDS or len(numbers) != NUM_FIELDS - 1:
        raise RawFileError(where, line, f"expected class,start,end,confidence, found {quote(text)}")
    action, start, end = numbers
    num_classes = len(class_names("pku1"))
    if not 1 <= action <= num_classes:
        raise RawFileError(where, line, f"expected a class in 1..{num_classes}, found {action}")
    if start > end:
        raise RawFileError(
            where, line, f"expected a start before the end, found frames {start}..{end}"
        )
    return Action(line, action - 1, start, end)


def convert_recording(recording: Recording) -> Outcome:
    """Cut the actions out of one video and normalize them.

    A sequence is named `<video>_<line of the label file, from 0>`. Raises RawFileError if a file
    cannot be read.
    """
    labels_where = recording.labels.where
    actions, rejected = parse_labels(recording.labels.read(), labels_where)
    if not actions and not rejected:
        rejected.append(Rejection(labels_where, 0, "contains no action"))
    frames, faults = parse_video(recording.video.read(), recording.video.where)
    if not len(frames):
        faults.append(Rejection(recording.video.where, 0, "contains no frame"))
    sequences = []
    num_frames_left = MAX_FRAMES
    for action in actions:
        if reason := validate(action, frames, max_frames=num_frames_left):
            rejected.append(Rejection(labels_where, action.line, reason))
            continue
        bodies = frames[action.start - 1 : action.end].swapaxes(0, 1)  # (M, T, V, C)
        sequence = SkeletonSequence(
            frames=normalize(bodies, NTU_25),
            name=f"{recording.name}_{action.line - 1}",
            label=action.label,
            subject=recording.subject,
            camera=recording.camera,
        )
        sequences.append(sequence)
        num_frames_left -= len(sequence.frames)
    return Outcome(sequences, rejected + faults)


def validate(action: Action, frames: np.ndarray, *, max_frames: int) -> str | None:
    """Return why an action cannot be cut out of `frames` (T, M, V, C), None if it can.

    `max_frames` bounds its length.
    """
    interval = f"frames {action.start}..{action.end}"
    if not 1 <= action.start <= action.end <= len(frames):
        return f"{interval}: outside the video, which has {len(frames)} frames"
    if action.end - action.start >= max_frames:
        return f"{interval}: more than {MAX_FRAMES} frames in the actions of one video"
    frames = frames[action.start - 1 : action.end]
    is_bad = np.isnan(frames).any(axis=(1, 2, 3))
    if is_bad.any():
        return f"{interval}: line {action.start + is_bad.argmax()} of the video cannot be used"
    return None if frames.any() else f"{interval}: no body in any of them"


def plan_job(tree: Tree, dataset: str) -> Job:
    """Return the conversion of all recordings of `tree`."""
    return Job(
        dataset=dataset,
        skeleton=NTU_25,
        class_names=class_names(dataset),
        split_rules={
            benchmark: partial(_belongs_to, videos=split.train)
            for benchmark, split in tree.splits.items()
        },
        items=tree.recordings,
        convert_item=convert_recording,
        rejected=tree.rejected,
        chunk_size=1,
    )


def _belongs_to(table: SequenceTable, videos: frozenset[str]) -> np.ndarray:
    """Check for each sequence whether it was cut out of one of `videos`."""
    return np.array([name.rsplit("_", 1)[0] in videos for name in table.name.tolist()], dtype=bool)


def warn_of_missing_files(tree: Tree, dataset: str) -> None:
    """Warn if there is no file of the part, or if videos that the splits list are missing."""
    if not tree.splits:
        print(
            f"warning: no file of {dataset}; "
            f"looked for {PARTS[dataset].example}.txt and cross-subject.txt",
            file=sys.stderr,
        )
    if tree.missing:
        num_missing = len(tree.missing)
        named = ", ".join(tree.missing[:MAX_NAMED]) + (", ..." if num_missing > MAX_NAMED else "")
        print(f"warning: missing videos of the splits ({num_missing}): {named}", file=sys.stderr)
