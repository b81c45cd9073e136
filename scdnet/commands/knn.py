"""`scdnet knn`: evaluate by kNN retrieval."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.commands.evaluation import evaluate_features, features_parser
from scdnet.eval.feature_file import read_features
from scdnet.eval.protocols import evaluate_knn


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate by kNN retrieval of the test split in the training split.

    Prints a table for each store, appends to runs/<name>/results.jsonl and writes the scores there.
    """
    parser = features_parser("knn", main.__doc__)
    parser.add_argument(
        "--gallery",
        type=Path,
        metavar="FILE",
        help="features of another dataset, by the same encoder: all its sequences replace the "
        "training split; classes are matched by name, queries of other classes are left out",
    )
    args = parser.parse_intermixed_args(argv)
    gallery = read_features(args.gallery) if args.gallery else None
    evaluate_features(parser, args, lambda table, context, _: evaluate_knn(table, context, gallery))
