from collections.abc import Sequence

from scdnet.commands.evaluation import checkpoint_parser, evaluator_of, print_rows
from scdnet.config_file import load_config


def main(argv: Sequence[str] | None = None) -> None:
    """Fine-tune the whole network, with all labels or `finetune.label_fraction` of them; `none`: from scratch.

    Prints a table, appends to runs/<name>/results.jsonl, keeps the scores there. What is recorded there already, draw
    by draw, is not computed again. A checkpoint that was trained on another store makes it a transfer.
    """
    parser = checkpoint_parser("finetune", main.__doc__)
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    evaluator = evaluator_of(args, config, skip=True)
    rows = evaluator.finetune(args.checkpoint, label_fraction=config.finetune.label_fraction)
    print_rows(config, evaluator.store.dataset, rows)
