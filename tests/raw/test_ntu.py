import pickle
from functools import partial

import numpy as np
import pytest

from scdnet.raw.convert import _convert_item
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ntu import convert_recording, plan_job, read_frames, read_missing_list
from scdnet.raw.raw_files import RawFile, RawFileError
from scdnet.raw.skeleton_file import parse_skeleton

NAME = "S001C002P003R004A005"


def test_a_recording_becomes_a_sequence_with_the_numbers_of_its_name(tmp_path, skeleton_text):
    path = tmp_path / f"{NAME}.skeleton"
    path.write_text(skeleton_text((1, 2)))
    job = plan_job([RawFile(str(path))], "ntu60", frozenset())
    ((sequence,), rejected) = convert_recording(*job.items)
    assert not rejected
    assert (sequence.name, sequence.label) == (NAME, 4)
    assert (sequence.setup, sequence.camera, sequence.subject, sequence.replication) == (1, 2, 3, 4)
    data = path.read_bytes()
    np.testing.assert_array_equal(sequence.frames, read_frames(data, "x"))
    expected = normalize(select_bodies(parse_skeleton(data, "x")))
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
