"""`scdnet report`: one page on what an encoder learnt, or figures for a paper."""

import argparse
import shlex
import statistics
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from scdnet import open_sequences, read_recording
from scdnet.cli import command_parser
from scdnet.commands.capture import add_capture_arguments
from scdnet.commands.classify import check_joints
from scdnet.commands.evaluate import read_or_extract
from scdnet.commands.evaluation import require_one_store
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.data.clips import SINGLE_PROCESS
from scdnet.engine.checkpoint import build_encoder, read_checkpoint
from scdnet.engine.device import resolve_device
from scdnet.engine.logs import log
from scdnet.engine.run.directory import CONFIG
from scdnet.errors import ScdnetError
from scdnet.eval.classify import Classifier
from scdnet.eval.feature_file import FeatureFileError
from scdnet.eval.feature_table import FeatureTable, LazyFeatures
from scdnet.eval.inputs import Inputs, build_inputs
from scdnet.eval.protocols import Context, evaluate_knn
from scdnet.files import check_writable
from scdnet.report.curves import read_metrics
from scdnet.report.facts import describe_run
from scdnet.report.page import Page, Score, write_page
from scdnet.report.payload import Findings, OwnRecording, build_payload, find_out
from scdnet.report.retrieval import retrieve_neighbors
from scdnet.report.verdict import judge
from scdnet.results.record import BASELINES
from scdnet.results.results_file import RESULTS
from scdnet.results.scores import read_scores
from scdnet.viz.drawing import check_picture

# The parts of a report that scdnet.report.figures draws, which needs matplotlib.
PARTS = ("training", "gallery", "map", "confusion", "classes")
FORMATS = ("png", "svg", "pdf")
CHECKPOINT = "last.pt"
FEATURES = "features.h5"


class Run(NamedTuple):
    """A run directory and its config, with the store and the directory where they are now."""

    path: Path
    config: Config

    @property
    def checkpoint(self) -> Path:
        """Return the path of the last checkpoint."""
        return self.path / CHECKPOINT

    @property
    def features(self) -> Path:
        """Return the path of the features file, which is made if it is missing."""
        return self.path / FEATURES

    @property
    def outputs(self) -> list[Path]:
        """Return the files of the run that a report adds to or makes."""
        made = [] if self.features.exists() else [self.features]
        return [*made, self.path / RESULTS]


class Evaluated(NamedTuple):
    """The kNN retrieval of an encoder or baseline on the test split."""

    metrics: dict[str, float]
    # Whether the nearest neighbor of each test sequence is of its class.
    hits: np.ndarray  # (n,) bool


class EvaluatedRun(NamedTuple):
    """The features of a run's checkpoint, and the retrieval by them and by the baselines."""

    table: FeatureTable
    num_weights: int
    own: Evaluated
    # The keys are the names of baselines in tables.
    baselines: dict[str, Evaluated]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line: `runs` and `overrides` are told apart by their `=`."""
    parser = command_parser("report", main.__doc__)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN_DIR",
        help="runs/<name> of scdnet train; of several, the first is shown and all are compared",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="config values, e.g. data.store=PATH of a store that was moved",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument(
        "--parts",
        type=split_list(PARTS),
        default=(),
        metavar="PART,...",
        help=f"draw these as figures for papers instead of the page: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--format",
        type=split_list(FORMATS),
        default=("png",),
        metavar="FORMAT,...",
        help=f"with --parts: {', '.join(FORMATS)}; default: png",
    )
    parser.add_argument(
        "--query",
        nargs="+",
        type=Path,
        action="extend",
        default=[],
        metavar="FILE",
        help="recordings of your own to search for, as scdnet classify reads them",
    )
    add_capture_arguments(
        parser.add_argument_group(
            "recordings of your own", "with --query, not for .skeleton files"
        ),
        is_required=False,
    )
    args = parser.parse_intermixed_args(argv)
    # argparse takes all of them for runs.
    args.overrides = [text for text in args.runs if "=" in text and not Path(text).exists()]
    args.runs = [Path(text) for text in args.runs if text not in args.overrides]
    if not args.runs:
        parser.error("expected one or more run directories")
    return args


def split_list(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of an option's value: some of the `known` words with commas between them."""

    def split(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        for word in words:
            if word not in known:
                expected = ", ".join(known)
                raise argparse.ArgumentTypeError(f"expected some of {expected}, found {word!r}")
        return words

    return split


def name_figures(args: argparse.Namespace) -> dict[Path, str]:
    """Return the part of each figure by the path of its file, beside where the page would be."""
    return {
        args.out.with_name(f"{args.out.stem}_{part}.{form}"): part
        for part in args.parts
        for form in args.format
    }


def read_run(path: Path, overrides: Sequence[str]) -> Run:
    """Read the config of a run directory. Raises ScdnetError if it is none or has no checkpoint."""
    for name, cure in ((CONFIG, "give runs/<name>"), (CHECKPOINT, "train it first")):
        if not (path / name).is_file():
            raise ScdnetError(f"{path}: expected a run directory with {name}; {cure}")
    # The directory may have been moved since the training.
    here = [f"runs_dir={path.resolve().parent}", f"name={path.resolve().name}"]
    config = load_config(path / CONFIG, [*overrides, *here])
    require_one_store(config, "a report")
    return Run(path, config.model_copy(update={"protocols": ("knn",)}))


def evaluate(inputs: Inputs, table: FeatureTable | LazyFeatures, context: Context) -> Evaluated:
    """Evaluate by kNN retrieval, unless the run directory contains the result."""
    metrics = evaluate_knn(table, context)
    rows = context.test_rows(table)
    record = context.record("knn", inputs.record, table, rows, table.settings)
    scores = read_scores(context.run_dir / f"scores_{record.tag}.npz")
    return Evaluated(metrics, scores.scores.argmax(axis=1) == scores.label)


def evaluate_run(run: Run, overrides: Sequence[str], device: torch.device) -> EvaluatedRun:
    """Extract the features of a run's checkpoint, and evaluate them and the baselines.

    A baseline that cannot be evaluated is left out, with a warning.
    """
    context = Context(
        benchmark=run.config.data.benchmarks[0],
        seed=run.config.seed,
        device=device,
        config=" ".join([str(run.path / CONFIG), *overrides]),
        run_dir=run.config.run_dir,
        skip=True,
    )
    all_inputs = build_inputs(
        [run.checkpoint], run.config, device, SINGLE_PROCESS, beside=tuple(BASELINES)
    )
    own = next(all_inputs)
    assert own.encoder is not None
    num_weights = sum(weight.numel() for weight in own.encoder.parameters())
    table = read_current_features(run.features, own)
    evaluated = evaluate(own, table, context)
    baselines = {}
    for inputs in all_inputs:
        baseline = inputs.record.baseline
        assert baseline is not None
        try:
            found = evaluate(inputs, inputs.extract_lazily(), context)
        except ScdnetError as error:
            context.warn(f"the baseline {baseline} is left out: {error}")
            continue
        baselines[BASELINES[baseline]] = found
    return EvaluatedRun(table, num_weights, evaluated, baselines)


def read_current_features(path: Path, inputs: Inputs) -> FeatureTable:
    """Return the features of `inputs` from the file at `path`, which is made if it is missing.

    A file of an earlier checkpoint is left as it is, with a warning.
    """
    try:
        return read_or_extract(path, inputs)
    except FeatureFileError as error:
        log(f"warning: {error}; extracted again for this report, the file is left as it is")
        return inputs.extract()


def check_comparable(runs: Sequence[Run], evaluated: Sequence[EvaluatedRun]) -> None:
    """Raise ScdnetError unless all runs are evaluated on the same test sequences."""
    for run, one in zip(runs[1:], evaluated[1:], strict=True):
        first = runs[0]
        for what, found, expected in (
            ("benchmark", run.config.data.benchmarks, first.config.data.benchmarks),
            ("store", one.table.store_sha256, evaluated[0].table.store_sha256),
        ):
            if found != expected:
                raise ScdnetError(
                    f"{run.path}: its {what} is not that of {first.path}; "
                    "runs in one report need the same test sequences"
                )


def read_recordings(args: argparse.Namespace, run: Run, table: FeatureTable) -> list[OwnRecording]:
    """Read and classify the recordings of the user's; one that cannot be used is skipped."""
    if not args.query:
        return []
    num_heads = run.config.model.num_heads
    encoder = build_encoder(read_checkpoint(run.checkpoint), num_heads=num_heads)
    classifier = Classifier(encoder, table)
    recordings = []
    for path in args.query:
        described = argparse.Namespace(**vars(args), recording=path, checkpoint=run.checkpoint)
        try:
            check_joints(described, classifier.skeleton)
            frames = read_frames(args, path)
            recordings.append(OwnRecording(path.name, frames, classifier(frames)))
        except ScdnetError as error:
            log(f"warning: left out: {error}")
    if not recordings:
        raise ScdnetError("--query: no recording can be used; the warnings above say why")
    return recordings


def read_frames(args: argparse.Namespace, path: Path) -> np.ndarray:
    """Read one recording (T, M, V, C) and print its warnings."""
    capture = {key: getattr(args, key) for key in ("layout", "skeleton", "unit", "up", "to")}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        frames = read_recording(path, **capture)
    for warning in caught:
        print(f"warning: {warning.message}", file=sys.stderr)
    return frames


def common_baselines(runs: Sequence[EvaluatedRun]) -> dict[str, list[Evaluated]]:
    """Return the evaluations of the baselines that all runs have, one for each run, by name."""
    return {
        name: [run.baselines[name] for run in runs]
        for name in BASELINES.values()
        if all(name in run.baselines for run in runs)
    }


def tabulate_scores(runs: Sequence[EvaluatedRun]) -> list[Score]:
    """Return the rows of the table of scores: the baselines, then the encoder of the runs."""
    rows = [summarize_score(name, found) for name, found in common_baselines(runs).items()]
    own = summarize_score("this encoder", [run.own for run in runs], is_own=True)
    return [*rows, own]


def summarize_score(name: str, found: Sequence[Evaluated], *, is_own: bool = False) -> Score:
    """Return the means over runs, and the standard deviation where runs differ."""
    knn1 = [one.metrics["knn@1"] for one in found]
    return Score(
        name=name,
        knn1=f"{statistics.fmean(knn1):.1f}",
        spread=f"± {statistics.stdev(knn1):.1f}" if len(set(knn1)) > 1 else "",
        map=f"{statistics.fmean(one.metrics['map'] for one in found):.1f}",
        is_own=is_own,
    )


def build_page(
    command: Sequence[str],
    runs: Sequence[Run],
    evaluated: Sequence[EvaluatedRun],
    findings: Findings,
) -> Page:
    """Build the page of a report, whose first run is the one that is shown."""
    with open_sequences(findings.table.store) as store:
        payload = build_payload(findings, store)
    baselines = {
        name: [one.hits for one in found] for name, found in common_baselines(evaluated).items()
    }
    configs = [run.config for run in runs]
    return Page(
        title=f"{configs[0].name}: {findings.table.dataset}, {findings.benchmark}",
        facts=describe_run(configs, findings, num_weights=evaluated[0].num_weights),
        verdict=judge([run.own.hits for run in evaluated], baselines),
        scores=tabulate_scores(evaluated),
        command=shlex.join(command),
        left_out=payload.left_out,
        data=payload.data,
        motion=payload.motion,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write one HTML page on what an encoder learnt: did it train, and where does it fail?

    The page contains curves of the training, test sequences with their nearest neighbors in
    motion, a map of the embedding and the confusions between classes, and compares the encoder
    with baselines without pretraining. It needs no server and no network.
    """
    args = parse_arguments(argv)
    runs = [read_run(path, args.overrides) for path in args.runs]
    figures = name_figures(args)
    for path in figures:
        check_picture(path, tuple(f".{form}" for form in FORMATS))
    outputs = [path for run in runs for path in run.outputs]
    check_writable(*(figures or [args.out]), *outputs)
    device = resolve_device(runs[0].config.device)
    evaluated = [evaluate_run(run, args.overrides, device) for run in runs]
    check_comparable(runs, evaluated)
    table = evaluated[0].table
    benchmark = runs[0].config.data.benchmarks[0]
    findings = find_out(
        table,
        benchmark,
        retrieve_neighbors(table, benchmark, device),
        recordings=read_recordings(args, runs[0], table),
        metrics={str(run.path): read_metrics(run.path) for run in runs},
    )
    if figures:
        write_figures(findings, figures)
        return
    arguments = sys.argv[2:] if argv is None else argv
    page = build_page(["scdnet", "report", *arguments], runs, evaluated, findings)
    write_page(args.out, page)
    print("\n".join([page.verdict.text, *page.left_out]))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB; open it in a browser")


def write_figures(findings: Findings, figures: Mapping[Path, str]) -> None:
    """Draw figures, whose parts are given by the paths of their files, and print the paths."""
    # A page needs no matplotlib.
    from scdnet.report.figures import draw_parts

    with open_sequences(findings.table.store) as store:
        draw_parts(findings, store, figures)
    print("\n".join(map(str, figures)))
