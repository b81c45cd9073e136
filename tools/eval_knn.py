#!/usr/bin/env python3
from collections.abc import Sequence

from scdnet.cli import config_parser, run_command
from scdnet.config_file import load_config
from scdnet.data.clips import load_clips
from scdnet.engine.logs import say
from scdnet.engine.runtime import keep_freed_memory, resolve_device
from scdnet.eval.features import RAW, UNTRAINED, extract_features, load_source
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
    command = " ".join([str(args.config), *args.overrides])
    sources = [load_source(name, config) for name in args.checkpoint]
    clips = load_clips(config.data, config.stream, resolve_device(config.device))
    say(clips.place)
    keep_freed_memory()
    rows = {}
    for encoder, source in sources:
        gallery, queries = split_features(extract_features(encoder, clips, config.precision), clips)
        metrics = knn_metrics(gallery, queries, clips.device)
        rows[CONTROLS.get(source.checkpoint, source.checkpoint)] = metrics
        path = append_results(
            config, metrics, protocol="knn", dataset=clips.dataset, source=source, config_name=command
        )
    print(format_table(f"{clips.dataset} {config.data.benchmark}, {config.stream}, percent", rows))
    print(f"appended to {path}")


if __name__ == "__main__":
    run_command(main)
