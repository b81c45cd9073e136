import pytest

from scdnet.errors import ScdnetError
from scdnet.raw.ready_made.formats import FORMATS, NAMELESS, open_format
from scdnet.raw.ready_made.scratch import Scratch


@pytest.mark.parametrize("name", FORMATS)
def test_names_are_refused_where_the_files_have_them(tmp_path, name):
    names = tmp_path / "names.txt"
    with Scratch(tmp_path / "out.h5") as scratch, pytest.raises(ScdnetError) as caught:
        open_format(name, [tmp_path], scratch, names=names)
    is_refused = "contain the names themselves: omit it" in str(caught.value)
    # Otherwise the list is read, and missing.
    assert is_refused == (name not in NAMELESS) and str(names) in str(caught.value)
