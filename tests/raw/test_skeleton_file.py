import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.skeleton_file import Body, SkeletonFileError, format_skeleton, parse_skeleton

METRES = st.integers(-999_999, 999_999).map(
    lambda n: n / 1e5
)  # five decimals, as format_skeleton writes them
JOINTS = arrays(np.float64, (25, 3), elements=METRES)


def slow_parse(text: str) -> np.ndarray:
    """Line by line, number by number."""
    lines = iter(text.splitlines())
    frames = np.zeros((int(next(lines)), 4, 25, 3))
    for frame in frames:
        for m in range(int(next(lines))):
            next(lines)
            joints = [next(lines).split()[:3] for _ in range(int(next(lines)))]
            if m < 4:
                frame[m] = [[float(value) for value in joint] for joint in joints]
    return frames.transpose(1, 0, 2, 3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(JOINTS, max_size=3), min_size=1, max_size=3).filter(any))
def test_parsing_what_was_formatted_gives_the_same_joints(frames):
    text = format_skeleton([[Body(7, joints) for joints in bodies] for bodies in frames])
    expected = np.zeros((4, len(frames), 25, 3))
    for t, bodies in enumerate(frames):
        for m, joints in enumerate(bodies):
            expected[m, t] = joints
    np.testing.assert_array_equal(parse_skeleton(text.encode(), "x"), expected)


def test_recordings_of_the_published_form_are_read_as_line_by_line(shared):
    files = sorted((shared / "golden" / "ntu_cases").glob("*.skeleton"))
    assert len(files) == 8
    for file in files:
        np.testing.assert_array_equal(
            parse_skeleton(file.read_bytes(), file.name), slow_parse(file.read_text())
        )


def test_zero_to_six_bodies_a_frame_of_which_four_are_kept(skeleton_text):
    text = skeleton_text((0, 1, 2, 3, 4, 5, 6))
    bodies = parse_skeleton(text.encode(), "x")
    assert bodies.any(axis=(2, 3)).sum(axis=0).tolist() == [0, 1, 2, 3, 4, 4, 4]
    np.testing.assert_array_equal(bodies, slow_parse(text))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(" ", "\t  "),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", " \n"),
        lambda text: text + "\nanything\nat all, even 25\n",
        lambda text: text.replace(" 0 0 0 0 0 0 0 0 2", " nan -1.#IND inf x é 1e999 , ? 2"),
    ],
)
def test_what_is_not_interpreted_changes_nothing(skeleton_text, change):
    text = skeleton_text((1, 2))
    np.testing.assert_array_equal(parse_skeleton(change(text).encode(), "x"), slow_parse(text))


def test_lines_are_as_good_as_the_content(skeleton_text):
    text = skeleton_text()
    np.testing.assert_array_equal(
        parse_skeleton(text.splitlines(), "x"), parse_skeleton(text.encode(), "x")
    )


def test_coordinates_may_have_an_exponent_or_a_plus_sign(skeleton_text):
    lines = skeleton_text((1,)).splitlines()
    lines[4] = (
        "-9.31322574615e-10 +1.5 2.E-1 0 0 0 0 0 0 0 0 2"  # line 5: joint 0 of body 0 of frame 0
    )
    assert parse_skeleton(lines, "x")[0, 0, 0].tolist() == [-9.31322574615e-10, 1.5, 0.2]


def test_short_skeleton_file_names_the_line():
    with pytest.raises(
        SkeletonFileError,
        match=r"x:3: expected the body count of frame 2 of 2, found the end of the file",
    ):
        parse_skeleton(["2", "0"], where="x")  # says two frames, holds one


def edit(line: int, new: str):
    """The text with another line `line`, counted from 1."""
    return lambda lines: [*lines[: line - 1], new, *lines[line:]]


# Lines of the two frames of one body: 1 frames; 2 bodies, 3 body, 4 joints, 5-29; 30 bodies, 31 body, 32 joints, 33-57
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [], "x:1: expected the frame count, found the end of the file"),
        (edit(1, "two"), "x:1: expected the frame count, found 'two'"),
        (edit(1, ""), "x:1: expected the frame count, found a blank line"),
        (
            edit(1, "99999999999999999999"),
            "x:1: expected the frame count, found '99999999999999999999'",
        ),
        (
            edit(1, "999999999"),
            "x:58: expected the body count of frame 3 of 999999999, found the end of the file",
        ),
        (edit(1, "0"), "x: no body in any of 0 frames"),
        (lambda lines: ["2", "0", "0"], "x: no body in any of 2 frames"),
        (edit(2, "-1"), "x:2: expected the body count of frame 1 of 2, found '-1'"),
        (
            edit(2, "999999999"),
            "x:31: expected the joint count 25 of body 2 in frame 1, found '0 0 1 1",
        ),
        (edit(4, "24"), "x:4: expected the joint count 25 of body 1 in frame 1, found '24'"),
        (edit(32, "26"), "x:32: expected the joint count 25 of body 1 in frame 2, found '26'"),
        (edit(7, "1 2 3 0 0 0 0 0 0 0 2"), "x:7: expected 12 columns of a joint, found 11"),
        (edit(7, "1 2 3 0 0 0 0 0 0 0 0 0 2"), "x:7: expected 12 columns of a joint, found 13"),
        (
            edit(57, "1 nan 3 0 0 0 0 0 0 0 0 2"),
            "x:57: expected x y z as finite numbers, found '1 nan 3",
        ),
        (edit(5, "1 2 inf 0 0 0 0 0 0 0 0 2"), "x:5: expected x y z as finite numbers"),
        (
            edit(5, "1 2 1e39 0 0 0 0 0 0 0 0 2"),
            "x:5: expected x y z as finite numbers",
        ),  # no finite float32
        (
            lambda lines: lines[:-1],
            "x:57: expected body 1 of 1 in frame 2 of 2, found the end of the file",
        ),
        (
            lambda lines: lines[:30],
            "x:31: expected body 1 of 1 in frame 2 of 2, found the end of the file",
        ),
        (
            lambda lines: [*lines[:-1], "0.1 0.2 0.3 0 0"],
            "x:57: expected 12 columns of a joint, found 5",
        ),
    ],
)
def test_a_broken_file_is_refused_with_its_line(skeleton_text, change, message):
    lines = change(skeleton_text((1, 1)).splitlines())
    with pytest.raises(SkeletonFileError, match="^" + re.escape(message)):
        parse_skeleton(lines, where="x")


def test_bytes_that_are_no_text_at_all_are_refused():
    with pytest.raises(SkeletonFileError, match="x:1: expected the frame count"):
        parse_skeleton(bytes(range(256)) * 50, where="x")


@pytest.mark.parametrize("text", [b"1\n" * 3_000_000, b"1 " * 10_000_000], ids=["lines", "words"])
def test_a_text_of_far_too_many_lines_or_words_is_refused_before_they_are_looked_for(text):
    with pytest.raises(
        RawFileError, match=r"x: expected at most [0-9]+ (lines|blanks), found [0-9]+"
    ):
        parse_skeleton(text, "x")
