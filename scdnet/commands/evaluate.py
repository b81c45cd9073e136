"""`scdnet evaluate`: run all evaluation protocols of a config."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.commands.evaluation import (
    check_finetuning,
    extract_to_file,
    make_context,
    print_rows,
    source_parser,
)
from scdnet.config_file import load_config
from scdnet.engine.device import resolve_device
from scdnet.engine.distributed import is_main, rank_info
from scdnet.eval.feature_file import check_origin, read_features
from scdnet.eval.inputs import build_inputs
from scdnet.eval.protocols import evaluate_finetuning, evaluate_knn, evaluate_linear


def main(argv: Sequence[str] | None = None) -> None:
    """Run all protocols that the config lists (`protocols`), on features that are extracted once.

    Evaluations of this checkpoint that runs/<name> contains are skipped, so a command that was
    stopped can be repeated.
    """
    parser = source_parser("evaluate", main.__doc__)
    parser.add_argument(
        "--features", type=Path, metavar="FILE", help="default: features.h5 in the run directory"
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    if not set(config.protocols) <= {"knn", "linear"}:
        check_finetuning(args.source, config.feature_level)
    device = resolve_device(config.device)
    (inputs,) = build_inputs([args.source], config, device, rank_info())
    # An error comes before the work.
    inputs.store.require_labels()
    path = args.features or config.run_dir / "features.h5"
    if path.exists():
        table = read_features(path)
        check_origin(path, table, inputs)
    else:
        table = extract_to_file(path, inputs, device)
    # Several ranks extract features together; one is enough for the rest.
    if not is_main():
        return
    context = make_context(args, config, device, skip=True)
    for protocol in config.protocols:
        if protocol == "knn":
            rows = {f"knn, {args.source}": evaluate_knn(table, context)}
        elif protocol == "linear":
            rows = {f"linear, {args.source}": evaluate_linear(table, context, config.linear)}
        else:
            fraction = float(protocol.partition("@")[2] or 1)
            section = config.finetune.model_copy(update={"label_fraction": fraction})
            rows = evaluate_finetuning(inputs, context, section, config.data.views)
        print_rows(config, table.dataset, rows)
