import pickle
import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.raw.convert import _convert_item
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ntu import (
    Body,
    convert_recording,
    format_skeleton,
    parse_skeleton,
    plan_job,
    read_frames,
    read_missing_list,
)
from scdnet.raw.raw_files import MAX_FRAMES, RawFile, RawFileError
from scdnet.skeletons import NTU_25


def slow_parse(text: str) -> np.ndarray:
    """Parse line by line, number by number."""
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
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3).filter(any), st.integers(0, 10**6))
def test_parsing_what_was_formatted_gives_the_same_joints(bodies_per_frame, seed):
    # Five decimals, as they are formatted.
    shape = (4, len(bodies_per_frame), 25, 3)
    joints = np.random.default_rng(seed).integers(-999_999, 999_999, shape) / 1e5
    frames = []
    for t, count in enumerate(bodies_per_frame):
        joints[count:, t] = 0
        frames.append([Body(7, joints[m, t]) for m in range(count)])
    text = format_skeleton(frames)
    np.testing.assert_array_equal(parse_skeleton(text.encode(), "x"), joints)


def test_recordings_of_the_published_form_are_read_as_line_by_line(shared):
    files = sorted((shared / "golden" / "ntu_cases").glob("*.skeleton"))
    assert len(files) == 8
    for file in files:
        np.testing.assert_array_equal(
            parse_skeleton(file.read_bytes(), file.name), slow_parse(file.read_text())
        )


def test_of_zero_to_six_bodies_in_a_frame_four_are_used(skeleton_text):
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
def test_text_that_is_not_interpreted_changes_nothing(skeleton_text, change):
    text = skeleton_text((1, 2))
    np.testing.assert_array_equal(parse_skeleton(change(text).encode(), "x"), slow_parse(text))


def test_coordinates_may_have_an_exponent_or_a_plus_sign(skeleton_text):
    lines = skeleton_text((1,)).splitlines()
    # Line 4 is joint 0 of body 0 in frame 0.
    lines[4] = "-9.31322574615e-10 +1.5 2.E-1 0 0 0 0 0 0 0 0 2"
    joints = parse_skeleton("\n".join(lines).encode(), "x")[0, 0]
    assert joints[0].tolist() == [-9.31322574615e-10, 1.5, 0.2]


def test_a_file_of_fewer_frames_than_it_states_is_refused_with_the_line():
    expected = r"x:3: expected the body count of frame 2 of 2, found the end of the file"
    with pytest.raises(RawFileError, match=expected):
        parse_skeleton(b"2\n0\n", where="x")


def edit(line: int, new: str):
    """Replace the line `line`, from 1."""
    return lambda lines: [*lines[: line - 1], new, *lines[line:]]


# Two frames of one body each. Frame count: line 1. Body counts: lines 2 and 30. Bodies: lines 3
# and 31. Joint counts: lines 4 and 32. Joints: lines 5 to 29 and 33 to 57.
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [], "x: expected the text of a skeleton, found an empty file"),
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
        (edit(1, "0"), "x: contains no body in any of 0 frames"),
        (lambda lines: ["2", "0", "0"], "x: contains no body in any of 2 frames"),
        (edit(2, "-1"), "x:2: expected the body count of frame 1 of 2, found '-1'"),
        (
            edit(2, "999999999"),
            "x:31: expected the joint count 25 of body 2 of 999999999 in frame 1 of 2, found '0 0",
        ),
        (
            edit(4, "24"),
            "x:4: expected the joint count 25 of body 1 of 1 in frame 1 of 2, found '24'",
        ),
        (
            edit(32, "26"),
            "x:32: expected the joint count 25 of body 1 of 1 in frame 2 of 2, found '26'",
        ),
        (edit(7, "1 2 3 0 0 0 0 0 0 0 2"), "x:7: expected the 12 columns of a joint, found 11"),
        (edit(7, "1 2 3 0 0 0 0 0 0 0 0 0 2"), "x:7: expected the 12 columns of a joint, found 13"),
        (
            edit(57, "1 nan 3 0 0 0 0 0 0 0 0 2"),
            "x:57: expected x y z as finite numbers, found '1 nan 3",
        ),
        (edit(5, "1 2 inf 0 0 0 0 0 0 0 0 2"), "x:5: expected x y z as finite numbers"),
        # The number does not fit a float32.
        (edit(5, "1 2 1e39 0 0 0 0 0 0 0 0 2"), "x:5: expected x y z as finite numbers"),
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
            "x:57: expected the 12 columns of a joint, found 5",
        ),
    ],
)
def test_a_broken_file_is_refused_with_its_line(skeleton_text, change, message):
    lines = change(skeleton_text((1, 1)).splitlines())
    with pytest.raises(RawFileError, match="^" + re.escape(message)):
        parse_skeleton("".join(f"{line}\n" for line in lines).encode(), where="x")


def test_a_file_of_far_too_many_frames_is_refused():
    text = f"{MAX_FRAMES + 1}\n" + "0\n" * (MAX_FRAMES + 1)
    with pytest.raises(RawFileError, match=f"x:1: expected at most {MAX_FRAMES} frames, found '"):
        parse_skeleton(text.encode(), "x")


def test_bytes_that_are_no_text_at_all_are_refused():
    with pytest.raises(RawFileError, match="x:1: expected the frame count"):
        parse_skeleton(bytes(range(256)) * 50, where="x")


@pytest.mark.parametrize("text", [b"1\n" * 3_000_000, b"1 " * 10_000_000], ids=["lines", "words"])
def test_a_text_of_far_too_many_lines_or_words_is_refused_before_they_are_looked_for(text):
    expected = r"x: expected at most [0-9]+ (lines|blanks), found [0-9]+"
    with pytest.raises(RawFileError, match=expected):
        parse_skeleton(text, "x")


NAME = "S001C002P003R004A005"


def test_a_recording_becomes_a_sequence_with_the_numbers_of_its_name(tmp_path, skeleton_text):
    path = tmp_path / f"{NAME}.skeleton"
    path.write_text(skeleton_text((1, 2)))
    job = plan_job([RawFile(str(path))], "ntu60", frozenset())
    ((sequence,), rejected, _) = convert_recording(*job.items)
    assert not rejected
    assert (sequence.name, sequence.label) == (NAME, 4)
    assert (sequence.setup, sequence.camera, sequence.subject, sequence.replication) == (1, 2, 3, 4)
    data = path.read_bytes()
    np.testing.assert_array_equal(sequence.frames, read_frames(data, "x"))
    expected = normalize(select_bodies(parse_skeleton(data, "x")), NTU_25)
    np.testing.assert_array_equal(sequence.frames, expected)


def test_files_of_a_job_are_sorted_and_sorted_out():
    names = [NAME, "S001C001P001R001A060", "S001C001P001R001A061", "other", NAME]
    files = [RawFile(f"{place}/{name}.skeleton") for place, name in enumerate(names)]
    job = plan_job([*files, RawFile("missing/S001C001P001R001A001")], "ntu60", MISSING)
    assert job.items == [files[1], files[0]]
    assert job.num_skipped == 1
    assert [tuple(rejection) for rejection in job.rejected] == [
        (files[2].where, 0, "expected a class in 1..60, found 61"),
        (files[3].where, 0, "expected a name of the form SxxxCxxxPxxxRxxxAxxx"),
        (files[4].where, 0, f"has the same name as {files[0].where}, which is used instead"),
    ]


MISSING = frozenset({"S001C001P001R001A001"})


def test_what_goes_to_the_workers_can_be_pickled():
    """Windows and macOS spawn their workers; the rules of the splits stay in this process."""
    job = plan_job([RawFile(f"{NAME}.skeleton")], "ntu60", frozenset())
    work = partial(_convert_item, job.convert_item)
    assert pickle.loads(pickle.dumps(job.items)) == job.items
    assert pickle.loads(pickle.dumps(work)).args == work.args


def test_a_missing_list_names_recordings_with_or_without_suffix(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("The following are missing:\n\nS001C002P003R001A005.skeleton\n" + NAME)
    assert read_missing_list(path) == {"S001C002P003R001A005", NAME}


def test_a_missing_list_without_a_name_is_refused_and_an_empty_one_is_empty(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("")
    assert read_missing_list(path) == frozenset()
    path.write_text("not a list")
    expected = r"list\.txt: expected names like S001C001P001R001A001, found none"
    with pytest.raises(RawFileError, match=expected):
        read_missing_list(path)
