import pytest
from hypothesis import given
from hypothesis import strategies as st

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.splits import Side, find_sides, parse_split_key


@pytest.mark.parametrize(
    ("key", "side"),
    [
        ("xsub_train", Side("xsub", True)),
        ("xsub_val", Side("xsub", False)),
        ("xview_test", Side("xview", False)),
        ("XSet_Training", Side("xset", True)),
        ("cross_subject_validation", Side("cross_subject", False)),
        ("train", Side("custom", True)),
        ("test", Side("custom", False)),
        ("train1", Side("split1", True)),
        ("test_3", Side("split3", False)),
        ("xsub_train2", Side("xsub2", True)),
        ("xsub", None),
        ("trainer", None),
        ("", None),
        ("a/b_train", None),
    ],
)
def test_a_key_names_a_benchmark_and_a_side(key, side):
    assert parse_split_key(key) == side


def test_the_sides_of_each_sequence_are_collected():
    split = {
        "xsub_train": ["a", "b.skeleton"],
        "xsub_val": ("c",),
        "xview_train": ["c"],
        "xview_val": ["a"],
    }
    sides = find_sides(split, "x.pkl")
    assert sides.is_train == {
        "a": {"xsub": True, "xview": False},
        "b": {"xsub": True},
        "c": {"xsub": False, "xview": True},
    }
    assert sides.contradicting == set()


def test_a_sequence_on_both_sides_is_found():
    sides = find_sides({"train": ["a", "b"], "test": ["b"], "val": ["c"]}, "x.pkl")
    assert sides.contradicting == {"b"}


def test_a_key_without_a_side_is_warned_of(capsys):
    assert find_sides({"all": ["a"], 3: ["b"]}, "x.pkl").is_train == {}
    err = capsys.readouterr().err
    assert "warning: x.pkl: the split 'all' is not used" in err and "'3'" in err


@pytest.mark.parametrize("split", [None, ["a"], {"train": "a"}, {"train": [1]}, {"train": {}}])
def test_splits_of_another_form_are_refused(split):
    with pytest.raises(RawFileError, match=r"x\.pkl: expected a (dict of lists|list) of names"):
        find_sides(split, "x.pkl")


@given(st.text(max_size=12))
def test_a_benchmark_can_be_the_name_of_a_dataset_in_hdf5(key):
    side = parse_split_key(key + "_train")
    assert side is None or side.benchmark.replace("_", "a").isalnum()
