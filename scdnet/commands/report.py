"""`scdnet report`: one page on what an encoder learned, or figures for a paper."""

import argparse
import shlex
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scdnet import open_sequences
from scdnet.cli import command_parser
from scdnet.commands.capture import add_capture_arguments, read_frames
from scdnet.commands.classify import check_joints
from scdnet.commands.report_runs import (
    Evaluated,
    EvaluatedRun,
    Run,
    are_repetitions,
    check_distinct,
    check_same_store,
    common_baselines,
    evaluate_run,
    read_run,
)
from scdnet.engine.checkpoint import build_encoder, read_checkpoint
from scdnet.engine.device import resolve_device
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.eval.classify import Classifier
from scdnet.eval.feature_table import FeatureTable
from scdnet.files import check_writable
from scdnet.report.facts import describe_run
from scdnet.report.page import Page, Score, write_page
from scdnet.report.payload import Findings, OwnRecording, build_payload, compute_findings
from scdnet.report.retrieval import retrieve_neighbors
from scdnet.report.verdict import judge
from scdnet.viz.drawing import check_picture

# The sections of the page.
SECTIONS = ("training", "gallery", "map", "confusion", "classes")
# The parts of a report that scdnet.report.figures draws, which needs matplotlib.
PARTS = ("training", "gallery", "map", "confusion", "classes")
FORMATS = ("png", "svg", "pdf")


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
        raise ScdnetError("--query: none of the recordings could be used; see the warnings above")
    return recordings


def tabulate_scores(runs: Sequence[Run], evaluated: Sequence[EvaluatedRun]) -> list[Score]:
    """Return the rows of the table of scores: the baselines, then the encoder of the runs.

    Runs that differ in their seed alone share a row.
    """
    rows = [summarize_score(name, found) for name, found in common_baselines(evaluated).items()]
    if are_repetitions(runs):
        own = [one.own for one in evaluated]
        return [*rows, summarize_score("this encoder", own, is_own=True)]
    return [
        *rows,
        *(
            summarize_score(str(run.path), [one.own], is_own=run is runs[0])
            for run, one in zip(runs, evaluated, strict=True)
        ),
    ]


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
    # Runs of different methods have no mean: the verdict is on the first.
    judged = evaluated if are_repetitions(runs) else evaluated[:1]
    baselines = {
        name: [one.hits for one in found] for name, found in common_baselines(judged).items()
    }
    verdict = judge([run.own.hits for run in judged], baselines)
    configs = [run.config for run in runs]
    return Page(
        kicker="scdnet report",
        title=f"{configs[0].name}: {findings.table.dataset}, {findings.benchmark}",
        sections=SECTIONS,
        facts=describe_run(configs, findings, num_weights=evaluated[0].num_weights),
        verdict=verdict.text,
        verdict_kind=verdict.kind,
        scores=tabulate_scores(runs, evaluated),
        command=shlex.join(command),
        left_out=payload.left_out,
        data=payload.data,
        motion=payload.motion,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write one HTML page on what an encoder learned: did it train, and where does it fail?

    The page contains curves of the training, test sequences with their nearest neighbors in
    motion, a map of the embedding and the confusions between classes, and compares the encoder
    with baselines without pretraining. It needs no server and no network.
    """
    args = parse_arguments(argv)
    runs = [read_run(path, args.overrides) for path in args.runs]
    check_distinct(runs)
    figures = name_figures(args)
    for path in figures:
        check_picture(path, tuple(f".{form}" for form in FORMATS))
    outputs = [path for run in runs for path in run.outputs]
    check_writable(*(figures or [args.out]), *outputs)
    device = resolve_device(runs[0].config.device)
    table, first = evaluate_run(runs[0], args.overrides, device)
    # Only the features of the first run are kept.
    evaluated = [first, *(evaluate_run(run, args.overrides, device)[1] for run in runs[1:])]
    check_same_store(runs, evaluated)
    benchmark = runs[0].config.data.benchmarks[0]
    findings = compute_findings(
        table,
        benchmark,
        retrieve_neighbors(table, benchmark, device),
        recordings=read_recordings(args, runs[0], table),
        curves=[run.curves for run in evaluated],
    )
    if figures:
        write_figures(findings, figures)
        return
    arguments = sys.argv[1:] if argv is None else argv
    page = build_page(["scdnet", "report", *arguments], runs, evaluated, findings)
    write_page(args.out, page)
    print("\n".join([page.verdict, *page.left_out]))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB; open it in a browser")


def write_figures(findings: Findings, figures: Mapping[Path, str]) -> None:
    """Draw figures, whose parts are given by the paths of their files, and print the paths."""
    # A page needs no matplotlib.
    from scdnet.report.figures import draw_parts

    with open_sequences(findings.table.store) as store:
        draw_parts(findings, store, figures)
    print("\n".join(map(str, figures)))
