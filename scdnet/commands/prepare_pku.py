import sys
from collections.abc import Sequence
from functools import partial

import numpy as np

from scdnet.cli import command_parser
from scdnet.data.store import SequenceTable, SkeletonSequence
from scdnet.raw.convert import (
    Job,
    Outcome,
    Rejection,
    add_arguments,
    check_output,
    convert,
    find_all,
    report,
)
from scdnet.raw.datasets import class_names
from scdnet.raw.normalize import normalize
from scdnet.raw.pku_file import Action, Video, parse_labels, parse_video
from scdnet.raw.pku_tree import PARTS, Recording, Tree, find_tree
from scdnet.raw.raw_files import MAX_FRAMES

MAX_NAMED = 5  # of the videos that are not there
SUFFIXES = (".txt", "subject", "view", "v2")  # split files are also met without .txt


def convert_recording(recording: Recording) -> Outcome:
    """Cut the actions out of one video and normalize them. Raises RawFileError if one of its two files cannot be read.

    A sequence is called <video>_<index>, where the index is the line of the label file, counted from 0.
    """
    actions, label_faults = parse_labels(recording.labels.read(), recording.labels.where)
    video = parse_video(recording.video.read(), recording.video.where)
    rejected = [Rejection(recording.video.where, *fault) for fault in video.faults]
    rejected += [Rejection(recording.labels.where, *fault) for fault in label_faults]
    sequences, num_frames = [], 0
    for action in actions:
        reason = validate(action, video, MAX_FRAMES - num_frames)
        if reason is None:
            sequences.append(cut_out(action, video, recording))
            num_frames += len(sequences[-1].frames)
        else:
            rejected.append(Rejection(recording.labels.where, action.line, reason))
    if not len(video.frames):
        rejected.append(Rejection(recording.video.where, 0, "no frame in it"))
    if not actions and not label_faults:
        rejected.append(Rejection(recording.labels.where, 0, "no action in it"))
    return Outcome(sequences, rejected)


def validate(action: Action, video: Video, max_frames: int) -> str | None:
    """Why an action cannot be used, None if it can; `max_frames` are left of what the actions of a video may take."""
    interval = f"frames {action.start}..{action.end}"
    if not 1 <= action.start <= action.end <= len(video.frames):
        return f"{interval} of a video of {len(video.frames)} frames"
    if action.end - action.start >= max_frames:
        return f"{interval}: with them the actions of the video take more than {MAX_FRAMES} frames"
    frames = video.frames[action.start - 1 : action.end]
    is_bad = np.isnan(frames).any(axis=(1, 2, 3))
    if is_bad.any():
        return f"{interval}: line {action.start + is_bad.argmax()} of the video cannot be used"
    return None if frames.any() else f"{interval}: no body in any of them"


def cut_out(action: Action, video: Video, recording: Recording) -> SkeletonSequence:
    """The normalised sequence of an action."""
    bodies = video.frames[action.start - 1 : action.end].swapaxes(0, 1)  # (M, T, V, C)
    return SkeletonSequence(
        frames=normalize(bodies),
        name=f"{recording.name}_{action.line - 1}",
        label=action.label,
        subject=recording.subject,
        camera=recording.camera,
    )


def plan_job(tree: Tree, dataset: str) -> Job:
    """The conversion of all recordings of `tree`."""
    rules = {
        benchmark: partial(_is_of_videos, videos=split.train)
        for benchmark, split in tree.splits.items()
    }
    return Job(
        dataset,
        class_names(dataset),
        rules,
        tree.recordings,
        convert_recording,
        tree.rejected,
        batch=1,
    )


def _is_of_videos(table: SequenceTable, videos: frozenset[str]) -> np.ndarray:
    return np.array([name.rsplit("_", 1)[0] in videos for name in table.name.tolist()], dtype=bool)


def warn_of_what_lacks(tree: Tree, dataset: str) -> None:
    """Say on stderr that nothing of the part was found, or which videos of the splits were not."""
    if not tree.splits:
        example = PARTS[dataset].example
        print(
            f"warning: no file of {dataset}: looked for {example}.txt and cross-subject.txt",
            file=sys.stderr,
        )
    if tree.absent:
        some = ", ".join(tree.absent[:MAX_NAMED]) + (
            ", ..." if len(tree.absent) > MAX_NAMED else ""
        )
        print(
            f"warning: listed in the splits, but not there ({len(tree.absent)}): {some}",
            file=sys.stderr,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Cut the actions out of the videos of PKU-MMD, part I or II, and write them to a sequence store."""
    parser = command_parser("prepare pku", main.__doc__)
    parser.add_argument("--dataset", choices=PARTS, required=True)
    add_arguments(parser)
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    tree = find_tree(find_all(args.raw, SUFFIXES), args.dataset)
    warn_of_what_lacks(tree, args.dataset)
    return report(args.out, convert(plan_job(tree, args.dataset), args.out, workers=args.workers))
