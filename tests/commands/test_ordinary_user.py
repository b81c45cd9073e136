"""Commands of an ordinary user, to whom the system refuses things.

Root, too, can run the tests: the commands run without what the system allows root only.
"""

import importlib
import pkgutil
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from scdnet.__main__ import COMMANDS
from scdnet.commands import knn
from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.data.store import open_sequences
from scdnet.engine.train.pretrain import pretrain
from scdnet.raw.ntu import Body, format_skeleton
from scdnet.viz import contact_sheet
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import changed
from tests.faults import (
    Done,
    assert_one_line,
    fill,
    run_as_user,
    small_disk,
)

resource = pytest.importorskip("resource", reason="needs users and limits as POSIX has them")
pytestmark = pytest.mark.end_to_end
RECORDING = "S001C001P001R001A001.skeleton"
CONFIGURED = ("-c", "small.yaml")
CHECKPOINT = ("--checkpoint", "runs/small/last.pt")
NOWHERE = "closed/new"


class Writer(NamedTuple):
    """How a command is told to write to a folder, and the first of its work."""

    # {out} is that folder.
    arguments: str
    # What the message names, below that folder.
    named: str
    # Functions that do some of the work.
    work: tuple[str, ...]


EVALUATION = "-c small.yaml --checkpoint runs/small/last.pt runs_dir={out}"
INPUTS = ("scdnet.eval.inputs.read_store_table",)
# The commands that write, by verb, which may be followed by a remark.
WRITERS = {
    "train": Writer(
        "-c small.yaml runs_dir={out}",
        "small/metrics.jsonl",
        ("scdnet.engine.train.pretrain.open_mixture",),
    ),
    "evaluate": Writer(EVALUATION, "small/results.jsonl", INPUTS),
    "evaluate, features elsewhere": Writer(
        "-c small.yaml --checkpoint runs/small/last.pt --features {out}/f.h5", "f.h5", INPUTS
    ),
    "knn": Writer(EVALUATION, "small/results.jsonl", INPUTS),
    "knn, of features": Writer(
        "-c small.yaml --features features.h5 runs_dir={out}",
        "small/results.jsonl",
        ("scdnet.eval.protocols.retrieve",),
    ),
    "linear": Writer(EVALUATION, "small/results.jsonl", INPUTS),
    "finetune": Writer(EVALUATION, "small/results.jsonl", INPUTS),
    "extract": Writer(
        "-c small.yaml --checkpoint runs/small/last.pt --out {out}/f.h5", "f.h5", INPUTS
    ),
    "report": Writer(
        "runs/small --out {out}/a.html", "a.html", ("scdnet.commands.report.evaluate_run",)
    ),
    "export": Writer("runs/small --out {out}/a", "a", ("scdnet.commands.export.read_source",)),
    "export, onnx": Writer(
        "runs/small --onnx {out}/a.onnx", "a.onnx", ("scdnet.commands.export.read_source",)
    ),
    "fuse": Writer(
        "scores.npz scores.npz --run-dir {out}",
        "results.jsonl",
        ("scdnet.commands.fuse.read_parts",),
    ),
    # The directory of its runs is runs/<name of the file>.
    "sweep": Writer(
        "closed.yaml --keep kept.jsonl",
        "all_seed0/results.jsonl",
        ("scdnet.commands.sweep.Runner",),
    ),
    "sweep, keeps its runs": Writer(
        "open.yaml --keep {out}/kept.jsonl", "kept.jsonl", ("scdnet.commands.sweep.Runner",)
    ),
    "prepare ntu": Writer(
        "--dataset ntu60 --raw raw --out {out}/a.h5",
        "a.h5",
        ("scdnet.commands.prepare_ntu.find_all",),
    ),
    "prepare pku": Writer(
        "--dataset pku1 --raw raw --out {out}/a.h5",
        "a.h5",
        ("scdnet.commands.prepare_pku.find_all",),
    ),
    "prepare custom": Writer(
        "--raw raw --out {out}/a.h5 --layout ntu25 --unit m --up y",
        "a.h5",
        ("scdnet.commands.prepare_custom.find_all",),
    ),
    "prepare import": Writer(
        "--format pyskl --raw raw --out {out}/a.h5",
        "a.h5",
        ("scdnet.commands.prepare_import.open_format",),
    ),
    "prepare demo": Writer(
        "--out {out}/raw --workers 1", "raw", ("scdnet.synthetic.dataset.perform_take",)
    ),
    "prepare synthetic": Writer(
        "--out {out}/a.h5 --workers 1",
        "a.h5",
        ("scdnet.synthetic.random_dataset.sample_action",),
    ),
    "demo": Writer(
        "runs_dir={out}", "demo/metrics.jsonl", ("scdnet.synthetic.dataset.perform_take",)
    ),
    "inspect": Writer(
        "synthetic.h5 --contact-sheet {out}/a.png",
        "a.png",
        # Imported here once, before processes fork.
        (f"{contact_sheet.__name__}.draw_contact_sheet",),
    ),
    "classify": Writer(
        f"raw/{RECORDING} --checkpoint runs/small/last.pt --features features.h5 "
        "--render {out}/a.png",
        "a.png",
        ("scdnet.commands.capture.read_recording",),
    ),
    "embed": Writer(
        "raw --encoder runs/small/last.pt --out {out}/f.h5",
        "f.h5",
        ("scdnet.commands.embed.load_window_encoder",),
    ),
    "search": Writer(
        f"raw/{RECORDING} --in windows.h5 --render {{out}}/a.png",
        "a.png",
        ("scdnet.commands.search.read_embedding",),
    ),
}
# These print.
READERS = {"doctor", "results"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store, a run with features and scores, recordings, and folders without write access."""
    folder = tmp_path_factory.mktemp("place")
    store = write_synthetic_store(folder / "synthetic.h5")
    config = make_small_config(store, folder / "runs")
    config = changed(config, optim={"epochs": 1})
    (folder / "small.yaml").write_text(yaml.safe_dump(dump_config(config)))
    pretrain(config)
    write_features_and_scores(folder, config)
    write_raw(folder / "raw")
    for name in ("closed", "open"):
        (folder / "runs" / name).mkdir()
        write_sweep(folder / f"{name}.yaml")
    (folder / "closed").mkdir()
    closed = (folder / "closed", folder / "runs" / "closed")
    for path in closed:
        path.chmod(0o555)
    yield folder
    for path in closed:
        path.chmod(0o755)


def write_features_and_scores(folder: Path, config: Config) -> None:
    arguments = ["-c", str(folder / "small.yaml"), "--checkpoint", str(config.run_dir / "last.pt")]
    extract = importlib.import_module("scdnet.commands.extract")
    extract.main([*arguments, "--out", str(folder / "features.h5")])
    knn.main(arguments)
    (scores,) = config.run_dir.glob("scores_*.npz")
    scores.rename(folder / "scores.npz")


def write_raw(folder: Path) -> None:
    folder.mkdir()
    with open_sequences(folder.parent / "synthetic.h5") as store:
        frames = store[0].frames[:, 0]
    text = format_skeleton([[Body(0, joints)] for joints in frames])
    (folder / RECORDING).write_text(text)


def write_sweep(path: Path) -> None:
    path.write_text(yaml.safe_dump({"config": "small.yaml", "seeds": [0], "rows": {"all": []}}))


def be_idle(work: tuple[str, ...]) -> Callable[[], None]:
    """Return an action that lets functions, given by their names, only report that they run."""

    def report(*_: object, **__: object) -> None:
        raise RuntimeError("the work has begun")

    def act() -> None:
        for name in work:
            module, _, function = name.rpartition(".")
            assert hasattr(importlib.import_module(module), function)
            setattr(importlib.import_module(module), function, report)

    return act


def run_writer(place: Path, name: str, out: Path, *more: str) -> Done:
    writer = WRITERS[name]
    verb = name.partition(",")[0]
    arguments = writer.arguments.format(out=out).split()
    return run_as_user(place, *verb.split(), *arguments, *more, act=be_idle(writer.work))


def test_every_command_is_known_to_write_or_not():
    assert {name.partition(",")[0] for name in WRITERS} | READERS == COMMANDS.keys()


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_cannot_be_written_is_named_before_the_work(place: Path, name: str):
    before = set(place.rglob("*"))
    done = run_writer(place, name, place / "closed" / "new")
    named = WRITERS[name].named
    if name == "sweep":
        assert_one_line(done, f"runs/closed/{named}: cannot create its directory (Permission deni")
    else:
        assert_one_line(done, f"{place / NOWHERE / named}: cannot create its directory (Permission")
    assert done.out == ""
    assert "the work has begun" not in done.err
    assert set(place.rglob("*")) == before


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "sweep"])
def test_the_work_begins_where_the_folder_can_be_written(place: Path, name: str):
    """What the test before relies on."""
    done = run_writer(place, name, place / "open")
    assert "the work has begun" in done.err, done


# Files that exist and must not be changed, by a command that would add to them or replace them.
EXISTING = {
    "train": "small/metrics.jsonl",
    "evaluate": "small/results.jsonl",
    "knn": "small/results.jsonl",
    "fuse": "results.jsonl",
    "extract": "f.h5",
    "embed": "f.h5",
    "sweep, keeps its runs": "kept.jsonl",
    "prepare demo": "raw/any.skeleton",
    "inspect": "a.png",
}


@pytest.mark.parametrize("name", EXISTING)
def test_a_file_that_cannot_be_written_is_named_before_the_work(
    place: Path, tmp_path: Path, name: str
):
    path = tmp_path / EXISTING[name]
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    is_folder = name == "prepare demo"
    closed = path.parent if is_folder else path
    closed.chmod(0o555 if is_folder else 0o444)
    try:
        arguments = ("--overwrite",) if is_folder else ()
        done = run_writer(place, name, tmp_path, *arguments)
    finally:
        closed.chmod(0o755)
    assert_one_line(done, str(closed), "cannot be written (Permission denied); nothing was changed")
    assert path.read_text() == ""


# A command, the file that it cannot read, and its arguments.
UNREADABLE = (
    ("train", "synthetic.h5", (*CONFIGURED, "runs_dir=open")),
    ("extract", "synthetic.h5", (*CONFIGURED, *CHECKPOINT, "--out", "f.h5")),
    ("inspect", "synthetic.h5", ("synthetic.h5",)),
    ("train", "small.yaml", CONFIGURED),
    ("knn", "runs/small/last.pt", (*CONFIGURED, *CHECKPOINT, "runs_dir=open")),
    ("train", "runs/small/last.pt", (*CONFIGURED, "--resume", "optim.epochs=2")),
    ("linear", "features.h5", (*CONFIGURED, "--features", "features.h5", "runs_dir=open")),
    ("fuse", "scores.npz", ("scores.npz", "scores.npz", "--run-dir", "open")),
    ("results", "runs/small/results.jsonl", ("runs/small",)),
    ("sweep", "open.yaml", ("open.yaml",)),
)


@pytest.mark.parametrize(
    ("verb", "name", "arguments"),
    UNREADABLE,
    ids=[f"{verb}-{name}" for verb, name, _ in UNREADABLE],
)
def test_a_file_that_cannot_be_read_is_one_line(
    place: Path, verb: str, name: str, arguments: tuple[str, ...]
):
    path = place / name
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        done = run_as_user(place, verb, *arguments)
    finally:
        path.chmod(mode)
    assert_one_line(done, name, "Permission denied")
    assert done.err.count("error") == 1


def test_the_doctor_names_a_store_that_cannot_be_read(place: Path):
    path = place / "synthetic.h5"
    path.chmod(0)
    try:
        done = run_as_user(place, "doctor", *CONFIGURED)
    finally:
        path.chmod(0o644)
    assert done.status == 1
    assert f"{path}" in done.out
    assert "Permission denied" in done.out


class Written(NamedTuple):
    """A file that exists and that a command replaces or adds to, and what comes just before."""

    # {out} is the folder of the file.
    arguments: str
    # The file, below that folder.
    path: str
    # The function that writes it, or one called shortly before.
    function: str
    # What the message names, if the file is first written under another name.
    named: str = ""


RESUMED = "-c small.yaml runs_dir={out} --resume optim.epochs=2"
OF_FEATURES = "-c small.yaml --features features.h5 runs_dir={out}"
WRITTEN = {
    "prepare ntu": Written(
        "--dataset ntu60 --raw raw --out {out}/a.h5 --overwrite --workers 1",
        "a.h5",
        "scdnet.data.store_writer.StoreWriter.append",
    ),
    "prepare demo": Written(
        "--out {out}/raw --overwrite --workers 1",
        "raw/S003C001P003R001A001.skeleton",
        "scdnet.synthetic.dataset.perform_take",
        "raw.tmp/",
    ),
    "extract": Written(
        "-c small.yaml --checkpoint runs/small/last.pt --out {out}/f.h5",
        "f.h5",
        "scdnet.commands.evaluation.write_features",
    ),
    "embed": Written(
        "raw --encoder runs/small/last.pt --out {out}/f.h5",
        "f.h5",
        "scdnet.commands.embed.write_embedding",
    ),
    "train, checkpoint": Written(
        RESUMED, "small/last.pt", "scdnet.engine.run.checkpoints.save_checkpoint", "small/next.pt"
    ),
    "train, metrics": Written(
        RESUMED, "small/metrics.jsonl", "scdnet.engine.train.run_log.append_text"
    ),
    "knn, results": Written(
        OF_FEATURES, "small/results.jsonl", "scdnet.results.results_file.append_text"
    ),
    "knn, confusion": Written(
        OF_FEATURES,
        "small/confusion_knn.tsv",
        "scdnet.results.results_file.write_confusion",
    ),
    "export": Written(
        "{out}/small --out {out}/e --overwrite",
        "e/README.md",
        "scdnet.commands.export.write_exported",
        "e",
    ),
    "inspect": Written(
        "synthetic.h5 --contact-sheet {out}/a.png", "a.png", f"{contact_sheet.__name__}.draw_sheet"
    ),
}


def call_before(function: str, do: Callable[[], None]) -> Callable[[], None]:
    """Return an action that lets a function, given by its name, call `do` first."""

    def act() -> None:
        home, _, name = function.rpartition(".")
        owner = pkgutil.resolve_name(home)
        original = getattr(owner, name)

        def call(*args: object, **kwargs: object) -> object:
            do()
            return original(*args, **kwargs)

        setattr(owner, name, call)

    return act


def start_run(place: Path, folder: Path, written: Written) -> bytes:
    """Copy the trained run to `folder`, with the file that a command is to write; return that."""
    shutil.copytree(place / "runs" / "small", folder / "small")
    path = folder / written.path
    path.parent.mkdir(exist_ok=True)
    if written.path == "a.h5":
        shutil.copy(place / "synthetic.h5", path)
    elif not path.is_file():
        path.write_text("what was there\n")
    return path.read_bytes()


def check_no_room(place: Path, folder: Path, name: str, do: Callable[[], None]) -> None:
    """Run a command that finds no room when it writes; the file that was there stays as it was."""
    written = WRITTEN[name]
    before = start_run(place, folder, written)
    arguments = written.arguments.format(out=folder).split()
    verb = name.partition(",")[0]
    done = run_as_user(place, *verb.split(), *arguments, act=call_before(written.function, do))
    reason = r"\((No space left on device|File too large)\); nothing was changed"
    bytes_ = r"at least [\d,]+ bytes are needed, [\d,]+ bytes are free there"
    named = re.escape(str(folder / (written.named or written.path)))
    assert_one_line(done)
    assert re.search(rf"^error: {named}\S*: cannot be written {reason}; {bytes_}", done.err, re.M)
    assert (folder / written.path).read_bytes() == before
    assert not list(folder.rglob("*.tmp"))


# A line of metrics fits into the block that the file has already.
@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "train, metrics"])
def test_a_full_disk_is_one_line_and_leaves_the_earlier_file(
    place: Path, tmp_path: Path, name: str
):
    with small_disk(tmp_path, 2**23) as disk:
        check_no_room(place, disk, name, lambda: fill(disk))


@pytest.mark.parametrize("name", WRITTEN)
def test_a_limit_on_the_size_of_files_is_one_line_and_leaves_the_earlier_file(
    place: Path, tmp_path: Path, name: str
):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))

    check_no_room(place, tmp_path, name, limit)


@pytest.mark.parametrize("name", ["train", "knn", "extract", "prepare ntu"])
def test_a_disk_that_is_full_already_is_named_before_the_work(
    place: Path, tmp_path: Path, name: str
):
    with small_disk(tmp_path, 2**16) as disk:
        fill(disk)
        done = run_writer(place, name, disk)
    assert_one_line(done, str(disk), "(No space left on device)", " 0 bytes are free there")
