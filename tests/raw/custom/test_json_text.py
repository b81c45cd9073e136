import numpy as np
import pytest

from scdnet.raw.custom import json_text
from scdnet.raw.custom.json_text import parse_json, to_numbers
from scdnet.raw.raw_files import RawFileError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_any_encoding_of_json_is_read(encoding):
    assert parse_json('{"ä": [1, 2.5]}'.encode(encoding), "a.json") == {"ä": [1, 2.5]}


@pytest.mark.parametrize("limit", ["MAX_COMMAS", "MAX_BRACKETS"])
@pytest.mark.parametrize("content", [b"[[],[],[],[]]", b"[{},{},{},{}]"])
def test_a_file_that_would_take_much_memory_is_not_parsed(monkeypatch, limit, content):
    assert len(parse_json(content, "a.json")) == 4
    monkeypatch.setattr(json_text, limit, 2)
    with pytest.raises(RawFileError, match=r"a\.json: expected at most 2 (commas|brackets)"):
        parse_json(content, "a.json")


def test_nested_lists_of_numbers_become_an_array():
    np.testing.assert_array_equal(to_numbers([[1, 2.5], [3, 4]], "a", "x"), [[1, 2.5], [3, 4]])
    assert to_numbers([1, 2], "a", "x").dtype == np.float64


@pytest.mark.parametrize(
    "value", [[[1], [2, 3]], [None], ["1"], [True], [float("nan")], [1e30], [10**400], {}, "x"]
)
def test_anything_else_is_refused_by_name(value):
    with pytest.raises(RawFileError, match="a: joints: expected lists of finite numbers of equal"):
        to_numbers(value, "a", "joints")
