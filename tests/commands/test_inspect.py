from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from scdnet.commands import inspect as inspect_store
from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.errors import ScdnetError
from scdnet.skeletons import NTU_25
from scdnet.viz import drawing
from tests.conftest import write_synthetic_store

NAME = "S001C001P001R001A001"
OTHER = "S001C001P003R002A002"
# The options that draw, and their arguments before the name of the picture.
DRAWING_OPTIONS = {"--render": [NAME], "--contact-sheet": []}


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a store of 16 short sequences of 2 classes."""
    return write_synthetic_store(tmp_path_factory.mktemp("store") / "synthetic.h5", frames=4)


def test_prints_the_content_of_a_store_and_warns_where_it_differs_from_the_published(
    store_path, capsys
):
    inspect_store.main([str(store_path)])
    printed = capsys.readouterr()
    assert printed.out.startswith(
        f"{store_path}: ntu60, 25 joints of ntu25 (3-D)\n"
        "16 sequences, 16 of them (100.0 %) with two bodies"
    )
    assert printed.err == (
        "warning: xsub has 8 training and 8 test sequences, "
        "not the 40,091 and 16,487 of the published ntu60\n"
    )


def test_verify_reads_all_frames_and_finds_changed_ones(store_path, tmp_path, capsys):
    inspect_store.main([str(store_path), "--verify"])
    assert capsys.readouterr().out.startswith(f"{store_path}: all is as written: 16 sequences, ")
    path = tmp_path / "changed.h5"
    path.write_bytes(store_path.read_bytes())
    with h5py.File(path, "r+") as file:
        file["frames"][5] = 0
    with pytest.raises(ScdnetError, match="expected frames of sequence S001C001P001R002A002 that "):
        inspect_store.main([str(path), "--verify"])


def test_contact_sheet_is_drawn_instead_of_the_text(store_path, tmp_path, capsys):
    out = tmp_path / "new" / "sheet.PNG"
    inspect_store.main([str(store_path), "--contact-sheet", str(out)])
    assert capsys.readouterr().out == f"Drew 2 of 16 sequences: {out}\n"
    with Image.open(out) as image:
        assert image.format == "PNG"


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_named_sequences_are_drawn_instead_of_the_text(store_path, tmp_path, capsys, suffix):
    out = tmp_path / f"x{suffix}"
    inspect_store.main([str(store_path), "--render", f"{NAME},{OTHER}", str(out)])
    assert capsys.readouterr().out == f"Drew 2 of 16 sequences: {out}\n"
    with Image.open(out) as image:
        assert image.format == suffix[1:].upper()


def test_a_name_may_contain_a_comma(tmp_path, capsys):
    path = tmp_path / "store.h5"
    with StoreWriter(
        path, skeleton=NTU_25, dataset="custom", class_names=("a",), created_by="a test"
    ) as writer:
        frames = np.ones((3, 2, 25, 3), dtype=np.float32)
        writer.append(SkeletonSequence(frames, "sit, stand", 0))
        writer.finish({})
    inspect_store.main([str(path), "--render", "sit, stand", str(tmp_path / "a.png")])
    assert capsys.readouterr().out.startswith("Drew 1 of 1 sequences")


def test_unknown_name_is_refused_with_the_most_similar_names(store_path, tmp_path):
    unknown = "S001C001P001R001A009"
    with pytest.raises(ScdnetError, match=rf"no sequence '{unknown}'; most similar names: {NAME}"):
        inspect_store.main([str(store_path), "--render", unknown, str(tmp_path / "x.png")])


@pytest.mark.parametrize(
    ("option", "name", "expected"),
    [
        ("--render", "x.jpg", ".png or .gif"),
        ("--contact-sheet", "x.gif", ".png"),
        ("--contact-sheet", "x", ".png"),
    ],
)
def test_unknown_kind_of_picture_is_refused(store_path, tmp_path, option, name, expected):
    out = tmp_path / name
    with pytest.raises(ScdnetError) as raised:
        inspect_store.main([str(store_path), option, *DRAWING_OPTIONS[option], str(out)])
    assert str(raised.value) == f"{out}: expected a name that ends in {expected}"


@pytest.mark.parametrize("option", DRAWING_OPTIONS)
def test_missing_matplotlib_is_reported_with_its_remedy(store_path, tmp_path, monkeypatch, option):
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    arguments = [option, *DRAWING_OPTIONS[option], str(tmp_path / "x.png")]
    with pytest.raises(ScdnetError, match=r"needs matplotlib: pip install scdnet\[plot\]"):
        inspect_store.main([str(store_path), *arguments])


def test_one_picture_at_a_time(store_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        inspect_store.main([str(store_path), "--contact-sheet", "x.png", "--render", NAME, "y.png"])
    assert "--render: not allowed with argument --contact-sheet" in capsys.readouterr().err


def test_missing_store_is_refused(tmp_path):
    with pytest.raises(ScdnetError, match="no such sequence store"):
        inspect_store.main([str(tmp_path / "none.h5")])


def test_options_are_not_abbreviated(store_path, capsys):
    # It would parse as --debug, which `run_command` reads by itself.
    with pytest.raises(SystemExit, match="2"):
        inspect_store.main([str(store_path), "--deb"])
    assert "unrecognized arguments: --deb" in capsys.readouterr().err
