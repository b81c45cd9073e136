import pickle
from functools import partial

import numpy as np
import pytest

from scdnet.raw import pku
from scdnet.raw.convert import _convert_item
from scdnet.raw.normalize import normalize
from scdnet.raw.pku import MAX_NAMED, SUFFIXES, convert_recording, plan_job, warn_of_missing_files
from scdnet.raw.pku_file import Action, Video
from scdnet.raw.pku_tree import Tree, find_tree
from scdnet.raw.raw_files import MAX_FRAMES, find_raw_files
from tests.raw_trees import PKU2, PkuTree, PkuVideo


def plan(tree: PkuTree, dataset: str) -> pku.Job:
    return plan_job(find_tree(find_raw_files(tree.root, SUFFIXES), dataset), dataset)


def test_a_video_becomes_a_sequence_for_each_label(pku2):
    first = plan(pku2, "pku2").items[0]
    sequences, rejected = convert_recording(first)
    assert not rejected
    assert [sequence.name for sequence in sequences] == ["A01N01-L_0", "A01N01-L_1"]
    assert [sequence.label for sequence in sequences] == [3, 8]
    assert [(sequence.subject, sequence.camera) for sequence in sequences] == [(1, 1)] * 2
    frames = PKU2["A01N01-L"].frames
    expected = [normalize(cut.swapaxes(0, 1)) for cut in (frames[:2], frames[2:])]
    for sequence, cut in zip(sequences, expected, strict=True):
        np.testing.assert_array_equal(sequence.frames, cut)


def test_what_goes_to_the_workers_can_be_pickled(pku2):
    job = plan(pku2, "pku2")
    work = partial(_convert_item, job.convert_item)
    assert pickle.loads(pickle.dumps(job.items)) == job.items
    assert pickle.loads(pickle.dumps(work)).args == work.args


FRAMES = PkuVideo.of((1, 1, 0, 1)).frames
FRAMES[3, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (1, 2, None),
        (1, 3, "frames 1..3: more than 216000 frames in the actions of one video"),
        (3, 3, "frames 3..3: no body in any of them"),
        (3, 4, "frames 3..4: line 4 of the video cannot be used"),
        (3, 5, "frames 3..5: outside the video, which has 4 frames"),
        (0, 1, "frames 0..1: outside the video, which has 4 frames"),
    ],
)
def test_an_action_that_cannot_be_cut_out_has_a_reason(start, end, reason):
    action = Action(line=1, label=0, start=start, end=end)
    assert pku.validate(action, Video(FRAMES, []), max_frames=2) == reason
    assert MAX_FRAMES == 216_000


def test_the_frames_of_rejected_actions_do_not_count_for_the_limit(pku1, monkeypatch):
    monkeypatch.setattr(pku, "MAX_FRAMES", 20)
    pku1.write({"0002-L": PkuVideo.of((1,) * 8, *["7,1,8,1"] * 3, "7,2,5,1")})
    sequences, rejected = convert_recording(plan(pku1, "pku1").items[0])
    assert [sequence.name for sequence in sequences] == ["0002-L_0", "0002-L_1", "0002-L_3"]
    reason = "frames 1..8: more than 20 frames in the actions of one video"
    assert [tuple(row) for row in rejected] == [(str(pku1.labels / "0002-L.txt"), 3, reason)]


def test_only_some_of_many_missing_videos_are_named(pku1, capsys):
    splits = find_tree(find_raw_files(pku1.root, SUFFIXES), "pku1").splits
    missing = tuple(f"{number:04}-L" for number in range(MAX_NAMED + 1))
    warn_of_missing_files(Tree([], splits, missing=missing), "pku1")
    err = capsys.readouterr().err
    assert err == f"warning: missing videos of the splits (6): {', '.join(missing[:5])}, ...\n"
