import csv
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdnet.errors import ScdnetError
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.ntu import parse_skeleton
from scdnet.raw.ready_made import pyskl
from scdnet.skeletons import COCO_17, NTU_25
from tests.raw.broken import with_count
from tests.raw.ready_made.importing import (
    break_bytes,
    import_broken,
    import_files,
    make_walk,
    open_ready_made,
    write_all,
)

NAMES = ("S001C001P001R001A001", "S001C002P001R001A002", "S001C003P003R001A060")


def annotation(name: str, bodies: np.ndarray, **changes: object) -> dict[str, object]:
    """Return an annotation as pyskl writes it; a change to None removes a field."""
    fields = {
        "frame_dir": name,
        "label": int(name[-3:]) - 1 if name in NAMES else 0,
        "keypoint": bodies.astype(np.float16),
        "total_frames": bodies.shape[1],
        **changes,
    }
    return {key: value for key, value in fields.items() if value is not None}


def content(**changes: object) -> dict[str, object]:
    """Return three annotations and their splits."""
    annotations = [
        annotation(name, make_walk(4, 1 + seed % 2, seed)) for seed, name in enumerate(NAMES)
    ]
    split = {
        "xsub_train": list(NAMES[:2]),
        "xsub_val": list(NAMES[2:]),
        "xview_train": list(NAMES[1:]),
        "xview_val": list(NAMES[:1]),
    }
    return {"split": split, "annotations": annotations, **changes}


def imported(tmp_path: Path, files: dict[str, object], protocol: int = 4):
    """Write pickles, open and import them; return what was opened, sequences and rejections."""
    pickles = {name: pickle.dumps(item, protocol) for name, item in files.items()}
    root = write_all(tmp_path / "raw", pickles)
    ready_made = open_ready_made(pyskl.open_files, root, tmp_path)
    return ready_made, *import_files(ready_made)


@pytest.mark.parametrize("dataset", ["ntu60", "ntu120"])
def test_the_example_is_normalized_as_its_readme_says(shared, tmp_path, dataset):
    path = shared / "data" / "ready_made" / "pyskl" / f"{dataset}_3danno.pkl"
    ready_made = open_ready_made(pyskl.open_files, path, tmp_path)
    sequences, rejected = import_files(ready_made)
    assert (ready_made.dataset, ready_made.skeleton, rejected) == (dataset, NTU_25, [])
    assert "float16" in ready_made.source_processing
    expected = pickle.loads(path.read_bytes())
    assert len(sequences) == len(expected["annotations"]) == {"ntu60": 24, "ntu120": 10}[dataset]
    for item in expected["annotations"]:
        sequence = sequences[item["frame_dir"]]
        frames = normalize(select_bodies(item["keypoint"].astype(np.float32)), NTU_25)
        np.testing.assert_allclose(sequence.frames, frames, rtol=0, atol=1e-6)
        assert sequence.label == item["label"] == int(item["frame_dir"][-3:]) - 1
        assert sequence.setup == int(item["frame_dir"][1:4])
        assert sequence.subject == int(item["frame_dir"][9:12])
    for key, names in expected["split"].items():
        benchmark, side = key.split("_")
        found = {
            entry.name
            for entry in ready_made.entries
            if entry.is_train[benchmark] == (side == "train")
        }
        assert found == set(names)


@pytest.mark.parametrize(("dataset", "num_equal"), [("ntu60", 18), ("ntu120", 8)])
def test_recordings_equal_the_raw_files_rounded_to_float16_where_the_readme_says_so(
    shared, tmp_path, dataset, num_equal
):
    folder = shared / "data" / "ready_made"
    bodies = {}
    for archive in folder.glob("raw/nturgbd*.zip"):
        with zipfile.ZipFile(archive) as members:
            for name in members.namelist():
                if name.endswith(".skeleton"):
                    bodies[Path(name).stem] = parse_skeleton(members.read(name), name)
    ready_made = open_ready_made(pyskl.open_files, folder / f"pyskl/{dataset}_3danno.pkl", tmp_path)
    sequences, _ = import_files(ready_made)
    with (folder / "expected" / "comparison.tsv").open() as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if dataset in row[0]]
    equal = {row[1] for row in rows if "pyskl" in row[0] and row[8] == "0.0e+00"}
    assert len(equal) == num_equal
    for name in equal:
        frames = bodies[name][:, bodies[name].any(axis=(0, 2, 3))]
        rounded = select_bodies(frames.astype(np.float16).astype(np.float64))
        expected = normalize(rounded, NTU_25)
        np.testing.assert_allclose(sequences[name].frames, expected, rtol=0, atol=1e-6)


def test_the_2d_example_has_y_up_and_becomes_coco17(shared, tmp_path):
    path = shared / "data" / "ready_made" / "pyskl" / "ntu60_hrnet.pkl"
    ready_made = open_ready_made(pyskl.open_files, path, tmp_path)
    sequences, rejected = import_files(ready_made)
    assert (ready_made.dataset, ready_made.skeleton, rejected) == ("ntu60", COCO_17, [])
    for item in pickle.loads(path.read_bytes())["annotations"]:
        points = item["keypoint"].astype(np.float64) * [1, -1]
        bodies = np.concatenate([points, item["keypoint_score"][..., None]], axis=-1)
        frames = sequences[item["frame_dir"]].frames
        expected = normalize(select_bodies(bodies, 2), COCO_17)
        np.testing.assert_allclose(frames, expected, rtol=0, atol=1e-4)
        # The head is above the ankles.
        body = frames[:, 0][frames[:, 0, :, 2].all(axis=1)]
        assert (body[:, 0, 1] > body[:, 15, 1]).all()


def test_a_2d_example_is_within_half_a_pixel_of_its_motion(shared, tmp_path):
    path = shared / "data" / "ready_made" / "pyskl" / "ntu60_hrnet.pkl"
    entry = min(
        open_ready_made(pyskl.open_files, path, tmp_path).entries, key=lambda entry: entry.name
    )
    bodies = entry.read_bodies()
    archive = zipfile.ZipFile(shared / "data/ready_made/raw/nturgbd_skeletons_60.zip")
    (member,) = (name for name in archive.namelist() if entry.name in name)
    joints = parse_skeleton(archive.read(member), member)[0]
    x, y, z = np.moveaxis(joints[:, [4, 8, 5, 9, 12, 16]], -1, 0)
    projected = np.stack([960 - 1081 * x / z, -(540 - 1081 * y / z)], axis=-1)
    errors = bodies[0][:, [5, 6, 7, 8, 11, 12], :2] - projected
    # The noise has a standard deviation of half a pixel, float16 steps of half a pixel.
    assert np.abs(errors.mean()) < 0.1 and errors.std() < 0.7


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_any_protocol_of_python_3_gives_the_same_sequences(tmp_path, protocol):
    ready_made, sequences, rejected = imported(tmp_path, {"a_3danno.pkl": content()}, protocol)
    assert (ready_made.dataset, rejected) == ("ntu60", [])
    assert sorted(sequences) == sorted(NAMES)
    for item in content()["annotations"]:
        expected = normalize(select_bodies(item["keypoint"].astype(np.float32)), NTU_25)
        np.testing.assert_array_equal(sequences[item["frame_dir"]].frames, expected)
    assert [entry.is_train for entry in ready_made.entries] == [
        {"xsub": True, "xview": False},
        {"xsub": True, "xview": True},
        {"xsub": False, "xview": True},
    ]


def test_other_datasets_have_numbered_classes_and_their_own_splits(tmp_path):
    names = ["v_Archery_g01", "v_Biking_g02", "v_Diving_g03"]
    bodies = np.concatenate([np.abs(make_walk(5, 3)[:, :, :17, :2]) * 100 + 9], axis=-1)
    annotations = [
        annotation(name, bodies, label=label, keypoint_score=np.ones(bodies.shape[:3], np.float16))
        for name, label in zip(names, (0, 4, 2), strict=True)
    ]
    split = {"train1": names[:2], "test1": names[2:], "train2": names[1:], "test2": names[:1]}
    ready_made, sequences, rejected = imported(
        tmp_path, {"ucf101_2d.pkl": {"split": split, "annotations": annotations}}
    )
    assert (ready_made.dataset, ready_made.class_names) == ("ucf101", tuple("01234"))
    assert [entry.is_train for entry in ready_made.entries] == [
        {"split1": True, "split2": False},
        {"split1": True, "split2": True},
        {"split1": False, "split2": True},
    ]
    assert [sequences[name].label for name in names] == [0, 4, 2] and not rejected
    assert sequences[names[0]].frames.shape == (5, 2, 17, 3)


def test_a_list_of_annotations_is_the_split_that_its_file_names(tmp_path):
    annotations = content()["annotations"]
    files = {"ntu60_xsub_train.pkl": annotations[:2], "ntu60_xsub_val.pkl": annotations[2:]}
    ready_made, sequences, rejected = imported(tmp_path, files)
    assert len(sequences) == 3 and not rejected and ready_made.dataset == "ntu60"
    sides = {entry.name: entry.is_train for entry in ready_made.entries}
    assert sides == {name: {"xsub": name in NAMES[:2]} for name in NAMES}


WALK = make_walk(4, 1)
FAULTS = {
    "expected a dict": [1],
    "expected a name as frame_dir, found none": annotation(NAMES[0], WALK, frame_dir=None),
    "expected a name as frame_dir, found 7": annotation(NAMES[0], WALK, frame_dir=7),
    "expected an int as label, found none": annotation(NAMES[0], WALK, label=None),
    "expected an int as label, found '3'": annotation(NAMES[0], WALK, label="3"),
    "name SxxxCxxxPxxxRxxxAxxx of the action 12": annotation(NAMES[0], WALK, label=11),
    "as keypoint, found none": annotation(NAMES[0], WALK, keypoint=None),
    "as keypoint, found a list": annotation(NAMES[0], WALK, keypoint=WALK.tolist()),
    r"as keypoint, found f2 of shape \(4, 25, 3\)": annotation(
        NAMES[0], WALK, keypoint=WALK[0].astype(np.float16)
    ),
    r"as keypoint, found f8 of shape \(1, 4, 24, 3\)": annotation(
        NAMES[0], WALK, keypoint=WALK[:, :, :24]
    ),
    "states 9 frames, but keypoint has 4": annotation(NAMES[0], WALK, total_frames=9),
    r"expected scores of shape \(1, 4, 17\)": annotation(
        NAMES[0], WALK, keypoint=WALK[:, :, :17, :2]
    ),
    "expected finite numbers": annotation(NAMES[0], WALK, keypoint=WALK * np.nan),
    "no body in any of 4 frames": annotation(NAMES[0], WALK * 0),
    "no body in any of 0 frames": annotation(NAMES[0], WALK[:, :0]),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_an_annotation_that_cannot_be_used_is_rejected_alone(tmp_path, reason):
    made = content()
    made["annotations"][0] = FAULTS[reason]
    _, sequences, rejected = imported(tmp_path, {"ntu60_3danno.pkl": made})
    assert sorted(sequences) == sorted(NAMES[1:])
    assert len(rejected) == 1 and re.search(reason, rejected[0].reason), rejected


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"annotations": 3}, "expected pyskl's annotations"),
        ({"split": {}}, "expected pyskl's annotations"),
        ("text", "expected pyskl's annotations"),
        ([], "contains no annotation"),
        (content(split=["a"]), "expected a dict of lists of names as split, found a list"),
        (content(split={"xsub_train": 3}), "expected a list of names as split 'xsub_train'"),
        (content(split={"xsub_train": [3]}), "expected a list of names as split 'xsub_train'"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, made, reason):
    with pytest.raises(ScdnetError, match=reason):
        imported(tmp_path, {"ntu60_3danno.pkl": made})


def test_a_bad_file_among_good_ones_is_rejected_alone(tmp_path):
    _, sequences, rejected = imported(tmp_path, {"ntu60.pkl": content(), "x.pkl": "text"})
    assert len(sequences) == 3
    assert [Path(row.file).name for row in rejected] == ["x.pkl"]


def test_files_of_several_skeletons_or_datasets_are_refused(tmp_path):
    flat = annotation(
        NAMES[0], WALK, keypoint=WALK[:, :, :17, :2], keypoint_score=np.ones((1, 4, 17))
    )
    with pytest.raises(ScdnetError, match=r"expected files of one skeleton, found ntu25 in .*coco"):
        imported(tmp_path, {"ntu60_a.pkl": content(), "ntu60_b.pkl": [flat]})
    with pytest.raises(ScdnetError, match="expected files of one dataset"):
        imported(tmp_path, {"ntu60_a.pkl": content(), "ntu120_a.pkl": content()})


def test_sequences_that_the_splits_list_but_no_annotation_has_are_warned_of(tmp_path, capsys):
    made = content()
    made["split"]["xsub_val"].append("S001C001P009R001A001")
    imported(tmp_path, {"ntu60.pkl": made})
    assert "no annotation of 1 sequences" in capsys.readouterr().err


def test_a_sequence_on_both_sides_is_rejected(tmp_path):
    made = content()
    made["split"]["xsub_val"].append(NAMES[0])
    _, sequences, rejected = imported(tmp_path, {"ntu60.pkl": made})
    assert sorted(sequences) == sorted(NAMES[1:])
    assert [row.reason for row in rejected] == [f"{NAMES[0]}: is on both sides of a benchmark"]


VALUES = st.sampled_from(
    [None, True, -1, 10**30, "x", "", b"x", [], {}, (), [[]], 1.5, float("nan")]
) | st.sampled_from(
    [WALK, WALK[0], WALK * np.inf, WALK[:0], WALK.astype("i8"), np.array(["a"]), np.array(3)]
)


@with_count
def test_broken_files_end_in_a_rejected_line_or_one_error(tmp_path, num_broken):
    data = [pickle.dumps(content(), protocol) for protocol in (2, 4, 5)]
    num_reasons = set()
    for seed in range(num_broken):
        broken = break_bytes(data[seed % 3], seed)
        root = write_all(tmp_path / "raw", {"ntu60_3danno.pkl": broken})
        sequences, reasons = import_broken(pyskl.open_files, root, tmp_path)
        assert sequences.keys() <= set(NAMES) or len(sequences) <= 3
        num_reasons.add(reasons)
    assert len(num_reasons) > num_broken / 5, "expected many kinds of damage"


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 9), st.just("removed") | VALUES),
        min_size=1,
        max_size=3,
    )
)
def test_wrong_values_end_in_a_rejected_line_or_one_error(tmp_path_factory, changes):
    made = content()
    targets = [made, made["split"], *made["annotations"]]
    for place, number, value in changes:
        keys = [*targets[place], "keypoint_score"]
        if isinstance(value, str) and value == "removed":
            targets[place].pop(keys[number % len(keys)], None)
        else:
            targets[place][keys[number % len(keys)]] = value
    folder = tmp_path_factory.mktemp("a")
    root = write_all(folder / "raw", {"ntu60_3danno.pkl": pickle.dumps(made)})
    import_broken(pyskl.open_files, root, folder)


def test_a_pickle_of_another_project_leads_to_its_format(shared, tmp_path):
    path = shared / "data/ready_made/ctrgcn/ntu/raw_data/raw_skes_data.pkl"
    with pytest.raises(ScdnetError, match=r"expected a name as frame_dir.* --format ctrgcn --raw"):
        open_ready_made(pyskl.open_files, path, tmp_path)
