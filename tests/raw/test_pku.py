import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.raw import pku
from scdnet.raw.convert import Rejection, _convert_item
from scdnet.raw.normalize import normalize
from scdnet.raw.pku import (
    BLOCK_BYTES,
    MAX_FAULTS,
    MAX_NAMED,
    SUFFIXES,
    Action,
    convert_recording,
    parse_labels,
    parse_video,
    plan_job,
    warn_of_missing_files,
)
from scdnet.raw.pku_tree import Tree, find_tree
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, find_raw_files
from scdnet.skeletons import NTU_25
from tests.raw_trees import PKU2, PkuTree, PkuVideo


def slow_parse(text: str) -> np.ndarray:
    """Parse number by number."""
    rows = [[float(word) for word in line.split()] for line in text.splitlines()]
    return np.array(rows).reshape(-1, 2, 25, 3)


def test_a_video_of_many_blocks_is_read_as_number_by_number():
    text = PkuVideo.of((2, 1) * 200).text
    assert len(text) > 2 * BLOCK_BYTES
    frames, faults = parse_video(text.encode(), "x")
    np.testing.assert_array_equal(frames, slow_parse(text))
    assert not faults


def test_lines_at_fault_are_named_in_whatever_block_and_only_they_are_lost():
    lines = PkuVideo.of((1,) * 500).text.splitlines()
    for line, text in {1: "", 250: "x", 499: lines[498] + " 0"}.items():
        lines[line - 1] = text
    frames, faults = parse_video("\n".join(lines).encode(), "x")
    assert [fault.line for fault in faults] == [1, 250, 499]
    assert np.flatnonzero(np.isnan(frames).any(axis=(1, 2, 3))).tolist() == [0, 249, 498]


def test_of_many_lines_at_fault_the_first_are_named_and_the_others_counted():
    frames, faults = parse_video(b"1 2\n" * 1000, "x")
    assert len(faults) == MAX_FAULTS + 1 and len(frames) == 1000
    assert faults[0] == Rejection("x", 1, "expected 150 numbers, found 2")
    reason = f"this line and {1000 - MAX_FAULTS - 1} others cannot be used either"
    assert faults[-1] == Rejection("x", MAX_FAULTS + 1, reason)


def test_files_of_far_too_many_lines_are_refused():
    with pytest.raises(RawFileError, match="x: expected at most 216000 lines, found 300001"):
        parse_video(b"\n" * 300_000 + b"1", "x")
    with pytest.raises(RawFileError, match="x: expected at most 10000 lines, found 10002"):
        parse_labels(b"1\n" * 10_002, "x")


def test_an_empty_video_has_no_frames():
    frames, _ = parse_video(b" \r\n\n", "x")
    assert frames.shape == (0, 2, 25, 3)


def test_labels_may_have_blanks_and_blank_lines_and_any_confidence():
    actions, faults = parse_labels(b"\xef\xbb\xbf 1 ,2,\t3, ?\r\n\r\n51,007,9,2", "x")
    assert actions == [
        Action(line=1, label=0, start=2, end=3),
        Action(line=3, label=50, start=7, end=9),
    ]
    assert not faults


def test_a_label_of_far_too_many_digits_is_a_fault():
    actions, faults = parse_labels(b"1,1," + b"9" * 10_000 + b",1", "x")
    assert not actions
    assert faults[0].reason.startswith("expected class,start,end,confidence, found '1,1,999")


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=3000)
    | st.text(alphabet="0123456789,.-+eE nNaif\r\n\t", max_size=3000).map(str.encode)
)
def test_any_bytes_are_read_or_listed_but_never_an_error(data):
    frames, faults = parse_video(data, "x")
    num_bad = np.isnan(frames).any(axis=(1, 2, 3)).sum()
    assert len(faults) == min(MAX_FAULTS + 1, num_bad)
    actions, faults = parse_labels(data, "x")
    assert all(0 <= action.label < 51 and action.start <= action.end for action in actions)
    assert len(actions) + len(faults) <= data.count(b"\n") + 1


def plan(tree: PkuTree, dataset: str) -> pku.Job:
    return plan_job(find_tree(find_raw_files(tree.root, SUFFIXES), dataset), dataset)


def test_a_video_becomes_a_sequence_for_each_label(pku2):
    first = plan(pku2, "pku2").items[0]
    sequences, rejected, _ = convert_recording(first)
    assert not rejected
    assert [sequence.name for sequence in sequences] == ["A01N01-L_0", "A01N01-L_1"]
    assert [sequence.label for sequence in sequences] == [3, 8]
    assert [(sequence.subject, sequence.camera) for sequence in sequences] == [(1, 1)] * 2
    frames = PKU2["A01N01-L"].frames
    expected = [normalize(cut.swapaxes(0, 1), NTU_25) for cut in (frames[:2], frames[2:])]
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
    assert pku.validate(action, FRAMES, max_frames=2) == reason
    assert MAX_FRAMES == 216_000


def test_the_frames_of_rejected_actions_do_not_count_for_the_limit(pku1, monkeypatch):
    monkeypatch.setattr(pku, "MAX_FRAMES", 20)
    pku1.write({"0002-L": PkuVideo.of((1,) * 8, *["7,1,8,1"] * 3, "7,2,5,1")})
    sequences, rejected, _ = convert_recording(plan(pku1, "pku1").items[0])
    assert [sequence.name for sequence in sequences] == ["0002-L_0", "0002-L_1", "0002-L_3"]
    reason = "frames 1..8: more than 20 frames in the actions of one video"
    assert [tuple(row) for row in rejected] == [(str(pku1.labels / "0002-L.txt"), 3, reason)]


def test_only_some_of_many_missing_videos_are_named(pku1, capsys):
    splits = find_tree(find_raw_files(pku1.root, SUFFIXES), "pku1").splits
    missing = tuple(f"{number:04}-L" for number in range(MAX_NAMED + 1))
    warn_of_missing_files(Tree([], splits, missing=missing), "pku1")
    err = capsys.readouterr().err
    assert err == f"warning: missing videos of the splits (6): {', '.join(missing[:5])}, ...\n"
