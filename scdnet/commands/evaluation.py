"""What the evaluation commands share: their arguments, where their features come from, and the table they print."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from scdnet.cli import config_parser
from scdnet.config import Config
from scdnet.engine.device import resolve_device
from scdnet.engine.distributed import process_group
from scdnet.eval.feature_file import FeatureFileError, read_features
from scdnet.eval.feature_table import FeatureTable, extract_table
from scdnet.eval.features import BASELINES, FINAL_LEVEL, RANDOM_INIT, RAW
from scdnet.eval.protocols import Evaluator
from scdnet.results.results_file import RESULTS, format_table


def checkpoint_parser(verb: str, description: str | None) -> argparse.ArgumentParser:
    """`-c CONFIG [key=value ...]` and the one checkpoint to evaluate."""
    parser = config_parser(verb, description)
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="PATH",
        help=f"a checkpoint, ours or the authors'; or a control: {RANDOM_INIT} (untrained encoder), {RAW} (the views "
        "themselves, which cannot be fine-tuned)",
    )
    return parser


def features_parser(verb: str, description: str | None) -> argparse.ArgumentParser:
    """`-c CONFIG [key=value ...]` and where the features come from: checkpoints, or features files."""
    parser = config_parser(verb, description)
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="PATH",
        help=f"a checkpoint, ours or the authors'; or a control: {RAW} (the views themselves), {RANDOM_INIT} (untrained "
        "encoder). May be given several times: a row each",
    )
    parser.add_argument(
        "--features",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="features that tools/extract_features.py has written, in the place of a checkpoint",
    )
    return parser


def feature_tables(
    parser: argparse.ArgumentParser, args: argparse.Namespace, config: Config
) -> dict[str, FeatureTable]:
    """The features that the arguments ask for, by file or checkpoint as it was given."""
    if not args.checkpoint and not args.features:
        parser.error("one of --checkpoint and --features is needed")
    tables = {str(path): read_features(path) for path in args.features}
    for path, table in tables.items():
        for key, found in (("stream", table.stream), ("feature_level", table.level)):
            if found != getattr(config, key):
                raise FeatureFileError(
                    f"{path}: {key} is {found} in the file, {getattr(config, key)} in the config"
                )
    with process_group(resolve_device(config.device)):
        return tables | {name: extract_table(config, name) for name in args.checkpoint}


def evaluator_of(args: argparse.Namespace, config: Config, *, skip: bool = False) -> Evaluator:
    """What runs protocols for `config`, with the config as it was typed."""
    return Evaluator(config, " ".join([str(args.config), *args.overrides]), skip=skip)


def print_rows(config: Config, dataset: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """The table of what was computed, and where it is recorded."""
    rows = {BASELINES.get(name, name): metrics for name, metrics in rows.items()}
    level = "" if config.feature_level == FINAL_LEVEL else f", level {config.feature_level}"
    print(format_table(f"{dataset} {config.data.benchmark}, {config.stream}{level}, percent", rows))
    print(f"recorded in {config.run_dir / RESULTS}")
