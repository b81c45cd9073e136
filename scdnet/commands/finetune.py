"""`scdnet finetune`: evaluate by fine-tuning."""

from collections.abc import Sequence

from scdnet.commands.evaluation import (
    check_finetuning,
    check_result_files,
    make_context,
    print_rows,
    source_parser,
    split_by_store,
)
from scdnet.config_file import load_config
from scdnet.data.clips import SINGLE_PROCESS
from scdnet.engine.device import resolve_device
from scdnet.eval.inputs import build_inputs
from scdnet.eval.protocols import evaluate_finetuning


def main(argv: Sequence[str] | None = None) -> None:
    """Fine-tune the whole network with all labels, or with `finetune.label_fraction` of them.

    Prints a table for each store, appends to runs/<name>/results.jsonl and writes the scores there.
    What was evaluated before, subset by subset, is skipped. A checkpoint that was not trained on a
    store makes it a transfer; --baseline random-init trains from scratch.
    """
    parser = source_parser("finetune", main.__doc__)
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    check_finetuning(args.source, config.feature_level)
    device = resolve_device(config.device)
    check_result_files(config)
    for store, own in split_by_store(config).items():
        (inputs,) = build_inputs([args.source], own, device, SINGLE_PROCESS)
        context = make_context(args, own, device, skip=True, store=store)
        rows = evaluate_finetuning(inputs, context, own.finetune, own.data.views)
        print_rows(own, inputs.store.dataset, rows, store=store)
