import pytest

from scdnet.raw.custom.json_file import read_json
from scdnet.raw.raw_files import RawFileError
from scdnet.skeletons import MEDIAPIPE_33, OPENPOSE_25


@pytest.mark.parametrize("data", [b"{}", b"[]", b"3", b'"people"', b'{"a": [1]}', b"null"])
@pytest.mark.parametrize("skeleton", [MEDIAPIPE_33, OPENPOSE_25])
def test_json_of_others_is_refused_with_what_is_read(data, skeleton):
    with pytest.raises(
        RawFileError, match=r"expected JSON of OpenPose .*, of Azure Kinect .*found"
    ):
        read_json(data, "a.json", skeleton)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b'{"people":\n [1,}', "a.json:2: not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[" + b"1" * 10_000 + b"]", "not JSON"),
        (b"<!DOCTYPE html><html>", "not JSON .*HTML"),
        (b"version https://git-lfs.github.com/spec/v1", "not JSON .*Git LFS"),
    ],
)
def test_what_is_no_json_is_called_that(data, reason):
    with pytest.raises(RawFileError, match=reason):
        read_json(data, "a.json", MEDIAPIPE_33)
