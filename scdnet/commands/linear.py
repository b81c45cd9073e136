"""`scdnet linear`: evaluate by a linear probe."""

from collections.abc import Sequence

from scdnet.commands.evaluation import evaluate_features, features_parser
from scdnet.eval.protocols import evaluate_linear


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate by a linear probe on frozen features.

    Prints a table for each store, appends to runs/<name>/results.jsonl and writes the scores there.
    """
    parser = features_parser("linear", main.__doc__)
    args = parser.parse_intermixed_args(argv)
    evaluate_features(
        parser,
        args,
        lambda table, context, config: evaluate_linear(table, context, config.linear),
    )
