from collections.abc import Sequence

from scdnet.commands.evaluation import evaluator_of, feature_tables, features_parser, print_rows
from scdnet.config_file import load_config
from scdnet.engine.distributed import is_main


def main(argv: Sequence[str] | None = None) -> None:
    """Linear probe on frozen features: prints a table, appends to runs/<name>/results.jsonl, keeps the scores there."""
    parser = features_parser("linear", main.__doc__)
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    tables = feature_tables(parser, args, config)
    if not is_main():
        return  # what is left takes no encoder
    evaluator = evaluator_of(args, config)
    rows = {name: evaluator.linear(table) for name, table in tables.items()}
    print_rows(config, next(iter(tables.values())).dataset, rows)
