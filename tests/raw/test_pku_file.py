import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.raw.pku_file import (
    BLOCK_BYTES,
    MAX_FAULTS,
    Action,
    Fault,
    Split,
    parse_labels,
    parse_split,
    parse_video,
)
from scdnet.raw.raw_files import RawFileError
from tests.raw_trees import PkuVideo


def slow_parse(text: str) -> np.ndarray:
    """Parse number by number."""
    rows = [[float(word) for word in line.split()] for line in text.splitlines()]
    return np.array(rows).reshape(-1, 2, 25, 3)


def test_a_video_of_many_blocks_is_read_as_number_by_number():
    text = PkuVideo.of((2, 1) * 200).text
    assert len(text) > 2 * BLOCK_BYTES
    video = parse_video(text.encode(), "x")
    np.testing.assert_array_equal(video.frames, slow_parse(text))
    assert not video.faults


def test_lines_at_fault_are_named_in_whatever_block_and_only_they_are_lost():
    lines = PkuVideo.of((1,) * 500).text.splitlines()
    for line, text in {1: "", 250: "x", 499: lines[498] + " 0"}.items():
        lines[line - 1] = text
    video = parse_video("\n".join(lines).encode(), "x")
    assert [fault.line for fault in video.faults] == [1, 250, 499]
    assert np.flatnonzero(np.isnan(video.frames).any(axis=(1, 2, 3))).tolist() == [0, 249, 498]


def test_of_many_lines_at_fault_the_first_are_named_and_the_others_counted():
    video = parse_video(b"1 2\n" * 1000, "x")
    assert len(video.faults) == MAX_FAULTS + 1 and len(video.frames) == 1000
    assert video.faults[0] == Fault(1, "expected 150 numbers, found 2")
    reason = f"this line and {1000 - MAX_FAULTS - 1} others cannot be used either"
    assert video.faults[-1] == Fault(MAX_FAULTS + 1, reason)


def test_files_of_far_too_many_lines_are_refused():
    with pytest.raises(RawFileError, match="x: expected at most 216000 lines, found 300001"):
        parse_video(b"\n" * 300_000 + b"1", "x")
    with pytest.raises(RawFileError, match="x: expected at most 10000 lines, found 10002"):
        parse_labels(b"1\n" * 10_002, "x")


def test_an_empty_video_has_no_frames():
    assert parse_video(b" \r\n\n", "x").frames.shape == (0, 2, 25, 3)


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


def test_a_split_lists_both_sides():
    split = parse_split(b"Training videos:\r\n a.txt, b ,c,\r\nValidataion videos:\r\nd,,\r\n", "x")
    assert split == Split(frozenset({"a", "b", "c"}), frozenset({"d"}))


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=3000)
    | st.text(alphabet="0123456789,.-+eE nNaif\r\n\t", max_size=3000).map(str.encode)
)
def test_any_bytes_are_read_or_listed_but_never_an_error(data):
    video = parse_video(data, "x")
    num_bad = np.isnan(video.frames).any(axis=(1, 2, 3)).sum()
    assert len(video.faults) == min(MAX_FAULTS + 1, num_bad)
    actions, faults = parse_labels(data, "x")
    assert all(0 <= action.label < 51 and action.start <= action.end for action in actions)
    assert len(actions) + len(faults) <= data.count(b"\n") + 1
