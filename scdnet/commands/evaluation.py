"""What the evaluation commands share: their arguments, how they extract, and their table."""

import argparse
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from scdnet.cli import config_parser
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.engine.device import resolve_device
from scdnet.engine.distributed import (
    is_main,
    process_group,
    rank_info,
    require_single_process,
    run_on_main,
)
from scdnet.engine.locate import state_source
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import FeatureFileError, read_features, write_features
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.inputs import CACHE, Inputs, build_inputs
from scdnet.eval.protocols import Context
from scdnet.files import check_writable
from scdnet.results.record import BASELINES, FINAL_LEVEL, RAW_PCA, Baseline
from scdnet.results.results_file import RESULTS
from scdnet.results.tables import format_table


def source_parser(verb: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `-c CONFIG [key=value ...]` and one checkpoint or baseline."""
    parser = config_parser(verb, description)
    add_sources(parser.add_mutually_exclusive_group(required=True), dest="source", action="store")
    return parser


def features_parser(verb: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `-c CONFIG [key=value ...]` and the sources of several features."""
    parser = config_parser(verb, description)
    parser.set_defaults(sources=[], features=[])
    group = parser.add_argument_group("features", "one or more of these options; a row each")
    add_sources(group, dest="sources", action="append")
    group.add_argument(
        "--features",
        action="append",
        type=Path,
        metavar="FILE",
        help="a features file of scdnet extract, instead of a checkpoint",
    )
    return parser


def add_sources(group: argparse._ArgumentGroup, **how: Any) -> None:
    """Add the options --checkpoint and --baseline."""
    group.add_argument(
        "--checkpoint",
        type=Path,
        metavar="PATH",
        help="a checkpoint, ours or the authors', a directory of scdnet export, hf://OWNER/NAME or "
        "the name of weights that ship",
        **how,
    )
    group.add_argument(
        "--baseline",
        choices=BASELINES,
        help="no pretraining: raw (the views themselves), raw-pca (principal components of the "
        "views), neither of which can be fine-tuned, or random-init (the encoder with its initial "
        "weights)",
        **how,
    )


def require_one_store(config: Config, what: str) -> Path:
    """Return the path of the only store. Raises ScdnetError if the config lists several."""
    stores = config.data.stores
    if len(stores) > 1:
        raise ScdnetError(
            f"data.store: {what} takes one store, found {len(stores)}; "
            f"add data.store={stores[0]} data.benchmark={config.data.benchmarks[0]}, or another"
        )
    return stores[0]


def make_context(
    args: argparse.Namespace,
    config: Config,
    device: torch.device,
    *,
    skip: bool,
    store: str | None = None,
) -> Context:
    """Return what the evaluations of a command on one store have in common.

    `store` is its name, where the command evaluates on several.
    """
    (benchmark,) = config.data.benchmarks
    return Context(
        benchmark=benchmark,
        seed=config.seed,
        device=device,
        config=" ".join([str(args.config), *args.overrides]),
        run_dir=config.run_dir,
        skip=skip,
        store=store,
        cache=config.runs_dir / CACHE if skip else None,
    )


def split_by_store(config: Config) -> dict[str | None, Config]:
    """Return the config for each store alone, by its name; a single store needs none."""
    configs = config.store_configs
    return {name if len(configs) > 1 else None: own for name, own in configs.items()}


def evaluate_features(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    evaluate: Callable[[FeatureTable, Context, Config], dict[str, float]],
) -> None:
    """Evaluate the features that the arguments of `features_parser` name, on each store.

    Prints a table for each.
    """
    if not args.sources and not args.features:
        parser.error("expected one of --checkpoint, --baseline and --features")
    config = load_config(args.config, args.overrides)
    if args.features:
        require_one_store(config, "--features")
    device = resolve_device(config.device)
    configs = split_by_store(config)
    # A path that cannot be read is an error before the work is done.
    given = {str(path): read_table(path, config) for path in args.features}
    tables = {store: dict(given) for store in configs}
    with process_group(device) if args.sources else nullcontext():
        check_result_files(config)
        if args.sources:
            for store, own in configs.items():
                all_inputs = build_inputs(args.sources, own, device, rank_info())
                extracted = (extract_labeled(inputs) for inputs in all_inputs)
                tables[store] |= zip(map(name_source, args.sources), extracted, strict=True)
    # Several ranks extract features together; one is enough for the rest.
    if not is_main():
        return
    for store, own in configs.items():
        context = make_context(args, own, device, skip=False, store=store)
        rows = {name: evaluate(table, context, own) for name, table in tables[store].items()}
        print_rows(own, next(iter(tables[store].values())).dataset, rows, store=store)


def extract_labeled(inputs: Inputs) -> FeatureTable:
    """Extract features for an evaluation. Raises ScdnetError at once if there are no labels."""
    inputs.store.require_labels()
    return inputs.extract()


def read_table(path: Path, config: Config) -> FeatureTable:
    """Read a features file. Raises FeatureFileError if it is of another stream or level.

    raw-pca has all streams, but must have been fitted to the training split of the benchmark.
    """
    table = read_features(path)
    found = {key: getattr(table.encoder, key) for key in ("stream", "feature_level")}
    wanted: dict[str, object] = {"stream": config.stream, "feature_level": config.feature_level}
    if table.encoder.baseline == RAW_PCA:
        found = {"benchmark": table.settings["benchmark"]}
        wanted = {"benchmark": config.data.benchmarks[0]}
    for key, value in wanted.items():
        if found[key] != value:
            raise FeatureFileError(
                f"{path}: {key} is {found[key]} in the file, {value} in the config"
            )
    return table


def check_result_files(config: Config, *files: Path) -> None:
    """Raise ScdnetError if the results of evaluations, or `files`, cannot be written.

    Called before the work is done, by all ranks; the first one writes.
    """
    run_on_main(lambda: check_writable(config.run_dir / RESULTS, *files))


def extract_to_file(path: Path, inputs: Inputs) -> FeatureTable:
    """Extract features and write them to a file; several ranks share the work, the first writes."""
    table = inputs.extract()
    run_on_main(lambda: write_features(path, table))
    return table


def name_source(source: Path | Baseline) -> str:
    """Return the name of a checkpoint or baseline in a table."""
    return state_source(source) if isinstance(source, Path) else BASELINES[source]


def check_finetuning(source: Path | Baseline, feature_level: int) -> None:
    """Raise ScdnetError if the source cannot be fine-tuned, or not by several ranks."""
    require_single_process("fine-tuning")
    if source in ("raw", RAW_PCA):
        raise ScdnetError(
            f"--baseline {source} has no weights to fine-tune; "
            "give a checkpoint or --baseline random-init"
        )
    if feature_level != FINAL_LEVEL:
        raise ScdnetError(
            f"feature_level={feature_level}: only knn and linear evaluate a level; "
            "set protocols=[knn,linear]"
        )


def print_rows(
    config: Config,
    dataset: str,
    rows: Mapping[str, Mapping[str, float]],
    *,
    store: str | None = None,
) -> None:
    """Print a table of metrics, and where they are recorded.

    `store` is its name, where the command evaluates on several.
    """
    level = "" if config.feature_level == FINAL_LEVEL else f", level {config.feature_level}"
    where = f"{dataset} {config.data.benchmarks[0]}"
    if store is not None:
        where = f"{store}: {where}"
    print(format_table(f"{where}, {config.stream}{level}, percent", rows))
    print(f"recorded in {config.run_dir / RESULTS}")
