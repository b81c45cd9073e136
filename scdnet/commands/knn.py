from collections.abc import Sequence
from pathlib import Path

from scdnet.commands.evaluation import evaluator_of, feature_tables, features_parser, print_rows
from scdnet.config_file import load_config
from scdnet.engine.distributed import is_main
from scdnet.eval.feature_file import read_features


def main(argv: Sequence[str] | None = None) -> None:
    """kNN retrieval, test split against training split: prints a table, appends to runs/<name>/results.jsonl."""
    parser = features_parser("knn", main.__doc__)
    parser.add_argument(
        "--gallery",
        type=Path,
        metavar="FILE",
        help="features of another data set, by the same encoder: all its sequences in the place of the training split; "
        "classes are matched by name, queries of others are left out",
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    tables = feature_tables(parser, args, config)
    if not is_main():
        return  # what is left takes no encoder
    gallery = read_features(args.gallery) if args.gallery else None
    evaluator = evaluator_of(args, config)
    rows = {name: evaluator.knn(table, gallery) for name, table in tables.items()}
    print_rows(config, next(iter(tables.values())).dataset, rows)
