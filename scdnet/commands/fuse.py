"""`scdnet fuse`: add up the scores of several streams."""

from collections.abc import Sequence
from pathlib import Path

import torch

from scdnet.cli import command_parser
from scdnet.files import check_writable
from scdnet.results.fusion import fuse, read_parts
from scdnet.results.results_file import RESULTS, write_evaluation
from scdnet.results.scores import Scores, topk_metrics
from scdnet.results.tables import format_table


def main(argv: Sequence[str] | None = None) -> None:
    """Add up the scores of several streams.

    Prints a table, appends to results.jsonl and writes the sum with its confusion matrix.
    Evaluations write scores as runs/<name>/scores_<protocol>.npz.
    """
    parser = command_parser("fuse", main.__doc__)
    parser.add_argument(
        "scores", nargs="+", type=Path, metavar="SCORES", help="a scores file; one for each stream"
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        type=float,
        metavar="W",
        help="a factor for each file, in their order; default: 1",
    )
    parser.add_argument(
        "--run-dir",
        type=Path,
        metavar="DIR",
        help="the directory to write to; default: that of the first file",
    )
    args = parser.parse_args(argv)
    first = args.scores[0]
    run_dir = args.run_dir or first.parent
    check_writable(run_dir / RESULTS)
    parts = read_parts(args.scores, args.weights)
    fused = fuse(parts)
    rows = {
        f"{part.scores.record.stream}, weight {part.weight:g}, {part.file}": accuracies(part.scores)
        for part in parts
    }
    rows["sum"] = accuracies(fused)
    record = fused.record
    tag = f"{record.protocol}_{record.stream}_{first.stem.removeprefix('scores_')}"
    path = write_evaluation(run_dir, fused, rows["sum"], tag=tag)
    print(format_table(f"{record.dataset} {record.benchmark}, {record.stream}, percent", rows))
    print(f"recorded in {path}")


def accuracies(scores: Scores) -> dict[str, float]:
    """Compute top1 and top5 in percent."""
    return topk_metrics(torch.from_numpy(scores.scores), torch.from_numpy(scores.label))
