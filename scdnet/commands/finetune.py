"""`scdnet finetune`: evaluate by fine-tuning."""

from collections.abc import Sequence

from scdnet.commands.evaluation import (
    check_finetuning,
    make_context,
    print_rows,
    source_parser,
)
from scdnet.config_file import load_config
from scdnet.data.clips import SINGLE_PROCESS
from scdnet.engine.device import resolve_device
from scdnet.eval.inputs import build_inputs
from scdnet.eval.protocols import evaluate_finetuning


def main(argv: Sequence[str] | None = None) -> None:
    """Fine-tune the whole network with all labels, or with `finetune.label_fraction` of them.

    Prints a table, appends to runs/<name>/results.jsonl and writes the scores there. What was
    evaluated before, subset by subset, is skipped. A checkpoint that was trained on another store
    makes it a transfer; --baseline random-init trains from scratch.
    """
    parser = source_parser("finetune", main.__doc__)
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    check_finetuning(args.source, config.feature_level)
    device = resolve_device(config.device)
    (inputs,) = build_inputs([args.source], config, device, SINGLE_PROCESS)
    context = make_context(args, config, device, skip=True)
    rows = evaluate_finetuning(inputs, context, config.finetune, config.data.views)
    print_rows(config, inputs.store.dataset, rows)
