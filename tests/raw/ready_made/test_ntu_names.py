import pytest

from scdnet.raw.ready_made.ntu_names import find_dataset, official_splits, parse_numbers


def test_a_name_tells_the_numbers():
    numbers = {"setup": 3, "camera": 1, "subject": 5, "replication": 2}
    assert parse_numbers("S003C001P005R002A058") == numbers
    assert parse_numbers("walk") == {}


@pytest.mark.parametrize(
    ("names", "dataset"),
    [
        (["S001C001P001R001A001", "S017C003P040R002A060"], "ntu60"),
        (["S001C001P001R001A001", "S018C001P001R001A001"], "ntu120"),
        (["S001C001P001R001A061"], "ntu120"),
        (["S001C001P001R001A121"], None),
        (["S001C001P001R001A001", "walk"], None),
        ([], None),
    ],
)
def test_the_dataset_is_the_smaller_one_that_has_all_names(names, dataset):
    assert find_dataset(names) == dataset


def test_official_splits_follow_subject_camera_and_setup():
    names = ["S002C001P001R001A001", "S001C003P003R001A001"]
    assert official_splits(names, "ntu60") == {
        names[0]: {"xsub": True, "xview": False},
        names[1]: {"xsub": False, "xview": True},
    }
    assert official_splits(names, "ntu120") == {
        names[0]: {"xsub": True, "xset": True},
        names[1]: {"xsub": False, "xset": False},
    }
    assert official_splits([], "ntu60") == {}
