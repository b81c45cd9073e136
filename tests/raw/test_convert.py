import argparse
import os

import numpy as np
import pytest

from scdnet.data.store import SkeletonSequence, open_sequences
from scdnet.data.store_writer import StoreWriter
from scdnet.errors import ScdnetError
from scdnet.raw.convert import (
    ConvertError,
    Job,
    Outcome,
    Rejection,
    add_arguments,
    check_output,
    convert,
    duplicate_rejection,
    find_all,
    write_rejected,
)
from scdnet.raw.raw_files import RawFile, RawFileError
from scdnet.raw.worker_pool import WorkerError
from scdnet.skeletons import NTU_25
from tests.faults import largest_file

FRAMES = np.ones((2, 2, 25, 3), dtype=np.float32)


def convert_video(video: int) -> Outcome:
    """Return two sequences, in falling order, and a rejected line; video 3 cannot be read."""
    if video == 3:
        raise RawFileError(f"video{video}", 8, "ends in the middle")
    sequences = [
        SkeletonSequence(FRAMES * video, f"video{video}_{i}", label=i, subject=video)
        for i in (1, 0)
    ]
    return Outcome(sequences, [Rejection(f"video{video}", 4, "class 99")])


def end_worker(video: int) -> Outcome:
    if video == 5:
        os._exit(1)
    return convert_video(video)


def interrupt(video: int) -> Outcome:
    if video == 5:
        raise KeyboardInterrupt
    return convert_video(video)


def make_job(items=range(1, 6), convert_item=convert_video, last_train_subject=2) -> Job:
    return Job(
        dataset="synthetic",
        skeleton=NTU_25,
        class_names=("a", "b"),
        split_rules={"xsub": lambda table: table.subject <= last_train_subject},
        items=items,
        convert_item=convert_item,
        rejected=[],
        num_skipped=7,
    )


@pytest.mark.parametrize("num_workers", [1, 2])
def test_sequences_of_all_items_come_in_order_and_what_failed_is_listed(
    tmp_path, num_workers, capsys
):
    out = tmp_path / "new" / "store.h5"
    assert convert(make_job(), out, num_workers=num_workers) == 0
    assert capsys.readouterr().out == (
        "Converted 8, skipped 7 (missing list), rejected 5.\n"
        f"Rejected files: {out}.rejected.tsv\n"
        f"Sequence store: {out}\n"
    )
    store = open_sequences(out)
    assert store.table.name.tolist() == [f"video{v}_{i}" for v in (1, 2, 4, 5) for i in (0, 1)]
    assert store[4].frames.tolist() == (FRAMES * 4).tolist() and store[4].subject == 4
    assert store.is_train("xsub").tolist() == [True] * 4 + [False] * 4
    assert (store.dataset, store.class_names) == ("synthetic", ("a", "b"))
    assert out.with_name("store.h5.rejected.tsv").read_text().splitlines() == [
        "file\tline\treason",
        "video1\t4\tclass 99",
        "video2\t4\tclass 99",
        "video3\t8\tends in the middle",
        "video4\t4\tclass 99",
        "video5\t4\tclass 99",
    ]


def test_the_same_input_gives_the_same_file_with_any_number_of_workers(tmp_path):
    contents = []
    for num_workers in (1, 2, 3):
        convert(make_job(range(100, 200)), tmp_path / "store.h5", num_workers=num_workers)
        contents.append((tmp_path / "store.h5").read_bytes())
    assert contents[0] == contents[1] == contents[2]


def convert_without_fault(video: int) -> Outcome:
    return Outcome([SkeletonSequence(FRAMES, f"v{video}", 0)], [])


def test_a_run_without_rejected_files_removes_the_list_of_an_earlier_one(tmp_path):
    out = tmp_path / "store.h5"
    convert(make_job(), out, num_workers=1)
    convert(make_job([1, 2], convert_without_fault), out, num_workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["store.h5"]


@pytest.mark.parametrize(
    ("convert_item", "error"), [(end_worker, WorkerError), (interrupt, KeyboardInterrupt)]
)
def test_a_run_that_ends_early_leaves_the_earlier_store(tmp_path, convert_item, error):
    out = tmp_path / "store.h5"
    out.write_text("an earlier store")
    with pytest.raises(error):
        convert(make_job(convert_item=convert_item), out, num_workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["store.h5"]
    assert out.read_text() == "an earlier store"


def test_a_run_that_ends_while_the_store_is_finished_leaves_the_old_list_with_the_old_store(
    tmp_path, monkeypatch
):
    def interrupt_finish(*_):
        raise KeyboardInterrupt

    out = tmp_path / "store.h5"
    listed = tmp_path / "store.h5.rejected.tsv"
    out.write_text("an earlier store")
    listed.write_text("its list")
    monkeypatch.setattr(StoreWriter, "finish", interrupt_finish)
    with pytest.raises(KeyboardInterrupt):
        convert(make_job(), out, num_workers=1)
    assert (out.read_text(), listed.read_text()) == ("an earlier store", "its list")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.h5", "store.h5.rejected.tsv"]


def test_a_list_that_cannot_be_written_leaves_the_earlier_one(tmp_path):
    with write_rejected(tmp_path / "store.h5", [Rejection("a", 1, "b")]):
        pass
    before = (tmp_path / "store.h5.rejected.tsv").read_bytes()
    with (
        largest_file(10),
        pytest.raises(ScdnetError, match=r"rejected\.tsv: cannot be written \(File too large\)"),
        write_rejected(tmp_path / "store.h5", [Rejection("c", 1, "d")]),
    ):
        pytest.fail("the store must not be finished")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_where_nothing_is_converted_no_store_is_written_and_the_status_is_1(tmp_path, capsys):
    out = tmp_path / "store.h5"
    assert convert(make_job(items=[3]), out, num_workers=1) == 1
    assert capsys.readouterr().out == (
        "Converted 0, skipped 7 (missing list), rejected 1.\n"
        f"Rejected files: {out}.rejected.tsv\n"
        "The first: video3:8: ends in the middle\n"
        "No sequence store written.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["store.h5.rejected.tsv"]


@pytest.mark.parametrize(("last_train_subject", "side"), [(0, "training"), (9, "test")])
def test_a_benchmark_with_an_empty_side_is_written_with_a_warning(
    tmp_path, capsys, last_train_subject, side
):
    job = make_job(last_train_subject=last_train_subject)
    convert(job, tmp_path / "store.h5", num_workers=1)
    assert f"warning: benchmark xsub has an empty {side} split" in capsys.readouterr().err
    assert open_sequences(tmp_path / "store.h5").benchmarks == ("xsub",)


def test_a_rejected_row_is_one_line_of_three_cells_whatever_the_names(tmp_path):
    listed = tmp_path / "store.h5.rejected.tsv"
    with write_rejected(tmp_path / "store.h5", [Rejection("b\tc\nd\udcff", 0, "why\r\n")]):
        assert not listed.exists()
    assert listed.read_bytes() == b"file\tline\treason\nb\\tc\\nd\\udcff\t0\twhy\\r\\n\n"


def test_an_output_that_exists_is_refused_unless_it_may_be_overwritten(tmp_path):
    out = tmp_path / "store.h5"
    out.touch()
    with pytest.raises(ConvertError, match=r"store\.h5: exists; choose another name or add --ov"):
        check_output(out, overwrite=False)
    check_output(out, overwrite=True)


def test_a_recording_is_not_overwritten(tmp_path):
    recording = tmp_path / "wave.npz"
    recording.write_bytes(b"PK\x03\x04")
    with pytest.raises(ConvertError, match=r"wave\.npz: exists and is not a sequence store"):
        check_output(recording, overwrite=True)


@pytest.mark.parametrize("taken", ["store.h5", "store.h5.rejected.tsv"])
def test_an_output_that_is_a_directory_is_refused(tmp_path, taken):
    (tmp_path / taken).mkdir()
    with pytest.raises(ConvertError, match=f"{taken} is a directory, expected a file name"):
        check_output(tmp_path / "store.h5", overwrite=True)


def test_a_root_without_a_file_is_warned_of(tmp_path, capsys):
    assert list(find_all([tmp_path], (".npz", ".csv"))) == []
    expected = f"warning: {tmp_path}: contains no file that ends in .npz or .csv\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_the_number_of_workers_is_a_positive_integer(number, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--raw", "a", "--out", "b", "--workers", number])
    assert "--workers" in capsys.readouterr().err


def convert_noted(video: int) -> Outcome:
    notes = ("dropped column time",) if video < 3 else ()
    return Outcome([SkeletonSequence(FRAMES, f"v{video}", label=video % 2)], [], notes)


def test_equal_notes_are_counted_in_the_summary(tmp_path, capsys):
    convert(make_job(range(1, 6), convert_noted), tmp_path / "store.h5", num_workers=1)
    expected = "2 of 5 recordings: dropped column time\nConverted 5, "
    assert capsys.readouterr().out.startswith(expected)


def test_classes_of_the_test_split_alone_are_warned_of_with_their_share(tmp_path, capsys):
    job = make_job([1, 2], convert_without_fault)
    unseen = Job(**{**vars(job), "convert_item": convert_noted, "items": [1, 2, 3]})
    is_train = {"custom": lambda table: table.label == 0, "all": lambda table: table.label < 2}
    unseen = Job(**{**vars(unseen), "split_rules": is_train})
    convert(unseen, tmp_path / "store.h5", num_workers=1)
    err = capsys.readouterr().err
    assert "benchmark custom: 2 of 2 test sequences (100 %) are of classes without a" in err
    assert "training sequence, b: no classifier" in err and "benchmark all: " not in err


def test_duplicates_are_warned_of(tmp_path, capsys):
    job = make_job([1], convert_without_fault)
    job.rejected.append(duplicate_rejection(RawFile("b/1.npz"), RawFile("a/1.npz")))
    convert(job, tmp_path / "store.h5", num_workers=1)
    expected = "warning: 1 files were not converted because another has the same name, such as b/1"
    assert expected in capsys.readouterr().err


def test_a_folder_of_something_else_says_what(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.zip").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "NTU60_CS.npz").write_bytes(b"PK\3\4 x_train.npy")
    assert list(find_all([tmp_path / "a", tmp_path / "b"], (".skeleton",))) == []
    first, second = capsys.readouterr().err.splitlines()
    assert "x.zip: give a zip itself as --raw" in first
    assert "NTU60_CS.npz seems to be" in second and "prepare import --format ctrgcn" in second
