#!/usr/bin/env python3
from collections.abc import Sequence

from scdnet.cli import config_parser, run_command
from scdnet.config_file import load_config
from scdnet.engine.runtime import resolve_device
from scdnet.eval.features import RAW, UNTRAINED, features_of
from scdnet.eval.knn import knn_metrics, split_features
from scdnet.eval.results import append_results, format_table

CONTROLS = {RAW: "raw evaluation views", UNTRAINED: "untrained encoder"}


def main(argv: Sequence[str] | None = None) -> None:
    """kNN retrieval, test split against training split: prints a table, appends to runs/<name>/results.jsonl."""
    parser = config_parser(main.__doc__)
    parser.add_argument(
        "--checkpoint",
        action="append",
        required=True,
        metavar="PATH",
        help=f"a checkpoint, ours or the authors'; or a control: {RAW} (the views themselves), {UNTRAINED} (untrained "
        "encoder). May be given several times: a row each",
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    rows = {}
    for checkpoint in args.checkpoint:
        features, clips, source = features_of(checkpoint, config)
        metrics = knn_metrics(*split_features(features, clips), resolve_device(config.device))
        rows[CONTROLS.get(checkpoint, checkpoint)] = metrics
        command = " ".join([str(args.config), *args.overrides])
        path = append_results(
            config, metrics, protocol="knn", dataset=clips.dataset, source=source, config_name=command
        )
    print(format_table(f"{clips.dataset} {config.data.benchmark}, {config.stream}, percent", rows))
    print(f"appended to {path}")


if __name__ == "__main__":
    run_command(main)
