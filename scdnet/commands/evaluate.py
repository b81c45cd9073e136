"""`scdnet evaluate`: run all evaluation protocols of a config."""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from scdnet.commands.evaluation import (
    check_finetuning,
    check_result_files,
    extract_to_file,
    make_context,
    name_source,
    print_rows,
    source_parser,
    split_by_store,
)
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.engine.device import resolve_device
from scdnet.engine.distributed import is_main, process_group, rank_info
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import read_features
from scdnet.eval.feature_table import FeatureTable, LazyFeatures
from scdnet.eval.inputs import Inputs, build_inputs, check_origin
from scdnet.eval.protocols import Context, evaluate_finetuning, evaluate_knn, evaluate_linear
from scdnet.results.record import BASELINES

# The metric by which a checkpoint is compared with the baselines, by protocol.
COMPARED = {"knn": "knn@1", "linear": "top1"}
# Metrics by protocol.
Evaluated = dict[str, dict[str, float]]


def main(argv: Sequence[str] | None = None) -> None:
    """Run all protocols that the config lists (`protocols`), on features that are extracted once.

    Of several stores, each is evaluated by itself.
    Beside a checkpoint, knn and linear evaluate the baselines too, and a warning states which of
    them are better. Evaluations that runs/<name> contains are skipped, so a command that was
    stopped can be repeated.
    """
    parser = source_parser("evaluate", main.__doc__)
    parser.add_argument(
        "--features", type=Path, metavar="FILE", help="default: features.h5 in the run directory"
    )
    parser.add_argument("--no-baselines", action="store_true", help="evaluate the checkpoint alone")
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    if not set(config.protocols) <= COMPARED.keys():
        check_finetuning(args.source, config.feature_level)
    device = resolve_device(config.device)
    has_baselines = isinstance(args.source, Path) and not args.no_baselines
    beside = tuple(BASELINES) if has_baselines else ()
    configs = split_by_store(config)
    files = name_features(args.features or config.run_dir / "features.h5", configs)
    work = []
    with process_group(device):
        check_result_files(config, *(file for file in files.values() if not file.exists()))
        for store, own in configs.items():
            all_inputs = build_inputs([args.source], own, device, rank_info(), beside=beside)
            inputs = next(all_inputs)
            table = read_or_extract(files[store], inputs)
            work.append(StoreWork(store, own, inputs, table, all_inputs))
    # Several ranks extract features together; one is enough for the rest.
    if is_main():
        for part in work:
            evaluate_store(args, part, device)


class StoreWork(NamedTuple):
    """The sequences and features of one store, for its evaluations."""

    # The name of the store, where the config lists several.
    store: str | None
    config: Config
    inputs: Inputs
    table: FeatureTable
    # The inputs of the baselines.
    baselines: Iterator[Inputs]


def name_features(path: Path, stores: Iterable[str | None]) -> dict[str | None, Path]:
    """Return the features file of each store; there is a single one without a name, or several."""
    return {
        store: path if store is None else path.with_name(f"{path.stem}_{store}{path.suffix}")
        for store in stores
    }


def read_or_extract(path: Path, inputs: Inputs) -> FeatureTable:
    """Return the features of `inputs` from the file at `path`, which is made if it is missing."""
    # An error comes before the work.
    inputs.store.require_labels()
    if not path.exists():
        return extract_to_file(path, inputs)
    table = read_features(path)
    check_origin(path, table, inputs)
    return table


def evaluate_store(args: argparse.Namespace, work: StoreWork, device: torch.device) -> None:
    """Run all protocols on one store, and print their tables."""
    config = work.config
    table = work.table
    context = make_context(args, config, device, skip=True, store=work.store)
    name = name_source(args.source)
    own = evaluate_table(table, context, config)
    # Not needed if fine-tuning alone is asked for.
    rows = evaluate_baselines(work.baselines, context, config) if own else {}
    rows[name] = own
    for protocol in own:
        shown = {f"{protocol}, {row}": rows[row][protocol] for row in rows}
        print_rows(config, table.dataset, shown, store=work.store)
        warn_if_below(name, protocol, rows, context)
    for protocol in config.protocols:
        if protocol not in COMPARED:
            fraction = float(protocol.partition("@")[2] or 1)
            section = config.finetune.model_copy(update={"label_fraction": fraction})
            finetuned = evaluate_finetuning(work.inputs, context, section, config.data.views)
            print_rows(config, table.dataset, finetuned, store=work.store)


def evaluate_table(
    table: FeatureTable | LazyFeatures, context: Context, config: Config
) -> Evaluated:
    """Run the protocols of the config that need nothing but features."""
    evaluated = {}
    if "knn" in config.protocols:
        evaluated["knn"] = evaluate_knn(table, context)
    if "linear" in config.protocols:
        evaluated["linear"] = evaluate_linear(table, context, config.linear)
    return evaluated


def evaluate_baselines(
    all_inputs: Iterator[Inputs], context: Context, config: Config
) -> dict[str, Evaluated]:
    """Evaluate the features of baselines; one that cannot be evaluated is left out, with a warning.

    Features are not extracted for evaluations that are skipped.
    """
    rows = {}
    for inputs in all_inputs:
        baseline = inputs.record.baseline
        assert baseline is not None
        try:
            rows[BASELINES[baseline]] = evaluate_table(inputs.extract_lazily(), context, config)
        except ScdnetError as error:
            context.warn(f"the baseline {baseline} is left out: {error}")
    return rows


def warn_if_below(
    name: str, protocol: str, rows: Mapping[str, Evaluated], context: Context
) -> None:
    """Warn if baselines are better than the checkpoint `name`."""
    metric = COMPARED[protocol]
    values = {row: evaluated[protocol][metric] for row, evaluated in rows.items()}
    own = values.pop(name)
    better = [f"{row} ({value:.1f})" for row, value in values.items() if value > own]
    if better:
        where = protocol if context.store is None else f"{context.store}, {protocol}"
        context.warn(f"{where}: {name} ({metric} {own:.1f}) is below {' and '.join(better)}")
