"""Recordings of PKU-MMD: from videos and their labels to normalized sequences, one per action."""

import sys
from functools import partial

import numpy as np

from scdnet.data.store import SequenceTable, SkeletonSequence
from scdnet.raw.convert import Job, Outcome, Rejection
from scdnet.raw.datasets import class_names
from scdnet.raw.normalize import normalize
from scdnet.raw.pku_file import Action, Video, parse_labels, parse_video
from scdnet.raw.pku_tree import PARTS, Recording, Tree
from scdnet.raw.raw_files import MAX_FRAMES

# Missing videos that a warning names.
MAX_NAMED = 5
# Some copies have split files without `.txt`.
SUFFIXES = (".txt", "subject", "view", "v2")


def convert_recording(recording: Recording) -> Outcome:
    """Cut the actions out of one video and normalize them.

    A sequence is named `<video>_<line of the label file, from 0>`. Raises RawFileError if a file
    cannot be read.
    """
    actions, label_faults = parse_labels(recording.labels.read(), recording.labels.where)
    video = parse_video(recording.video.read(), recording.video.where)
    rejected = [Rejection(recording.video.where, *fault) for fault in video.faults]
    rejected += [Rejection(recording.labels.where, *fault) for fault in label_faults]
    sequences = []
    num_frames = 0
    for action in actions:
        reason = validate(action, video, max_frames=MAX_FRAMES - num_frames)
        if reason is None:
            sequence = extract_sequence(action, video, recording)
            sequences.append(sequence)
            num_frames += len(sequence.frames)
        else:
            rejected.append(Rejection(recording.labels.where, action.line, reason))
    if not len(video.frames):
        rejected.append(Rejection(recording.video.where, 0, "contains no frame"))
    if not actions and not label_faults:
        rejected.append(Rejection(recording.labels.where, 0, "contains no action"))
    return Outcome(sequences, rejected)


def validate(action: Action, video: Video, *, max_frames: int) -> str | None:
    """Return why an action cannot be used, None if it can; `max_frames` bounds its length."""
    interval = f"frames {action.start}..{action.end}"
    if not 1 <= action.start <= action.end <= len(video.frames):
        return f"{interval}: outside the video, which has {len(video.frames)} frames"
    if action.end - action.start >= max_frames:
        return f"{interval}: more than {MAX_FRAMES} frames in the actions of one video"
    frames = video.frames[action.start - 1 : action.end]
    is_bad = np.isnan(frames).any(axis=(1, 2, 3))
    if is_bad.any():
        return f"{interval}: line {action.start + is_bad.argmax()} of the video cannot be used"
    return None if frames.any() else f"{interval}: no body in any of them"


def extract_sequence(action: Action, video: Video, recording: Recording) -> SkeletonSequence:
    """Cut out the frames of an action and normalize them."""
    bodies = video.frames[action.start - 1 : action.end].swapaxes(0, 1)  # (M, T, V, C)
    return SkeletonSequence(
        frames=normalize(bodies),
        name=f"{recording.name}_{action.line - 1}",
        label=action.label,
        subject=recording.subject,
        camera=recording.camera,
    )


def plan_job(tree: Tree, dataset: str) -> Job:
    """Return the conversion of all recordings of `tree`."""
    return Job(
        dataset=dataset,
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
        looked_for = f"{PARTS[dataset].example}.txt and cross-subject.txt"
        print(f"warning: no file of {dataset}; looked for {looked_for}", file=sys.stderr)
    if tree.missing:
        num_missing = len(tree.missing)
        named = ", ".join(tree.missing[:MAX_NAMED]) + (", ..." if num_missing > MAX_NAMED else "")
        print(f"warning: missing videos of the splits ({num_missing}): {named}", file=sys.stderr)
