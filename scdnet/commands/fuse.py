from collections.abc import Sequence
from pathlib import Path

import torch

from scdnet.cli import command_parser
from scdnet.results.evaluation_files import RunFolder
from scdnet.results.fusion import PROTOCOL, fuse, read_parts
from scdnet.results.results_file import format_table
from scdnet.results.scores import Scores, topk_metrics


def main(argv: Sequence[str] | None = None) -> None:
    """Add up the scores of several streams: prints a table, appends to results.jsonl, keeps the sum and its confusion.

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
        help="where to write; default: the folder of the first",
    )
    args = parser.parse_args(argv)
    parts = read_parts(args.scores, args.weights)
    fused = fuse(parts)
    rows = {
        f"{part.scores.stream}, weight {part.weight:g}, {part.file}": accuracies(part.scores)
        for part in parts
    }
    rows["sum"] = accuracies(fused)
    folder = args.run_dir or args.scores[0].parent
    tag = f"{PROTOCOL}_{fused.stream}_{args.scores[0].stem.removeprefix('scores_')}"
    path = RunFolder(folder).keep(tag, fused, rows["sum"])
    print(format_table(f"{fused.dataset} {fused.benchmark}, {fused.stream}, percent", rows))
    print(f"recorded in {path}")


def accuracies(scores: Scores) -> dict[str, float]:
    """top1 and top5 in percent."""
    return topk_metrics(torch.from_numpy(scores.scores), torch.from_numpy(scores.label))
