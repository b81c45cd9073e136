#!/usr/bin/env python3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import h5py

from scdnet.cli import config_parser, run_command
from scdnet.config_file import load_config
from scdnet.data.store import open_sequences
from scdnet.engine.checkpoint import file_sha256
from scdnet.eval.features import Features, Source, features_of


def main(argv: Sequence[str] | None = None) -> None:
    """Write the features [v_t ; v_s] of all sequences of the config's store to an HDF5 file."""
    parser = config_parser(main.__doc__)
    parser.add_argument("--checkpoint", required=True, metavar="PATH", help="a checkpoint, ours or the authors'")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, replaced if it exists")
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    features, _, source = features_of(args.checkpoint, config)
    write_features(args.out, features, config.data.store, source)
    print(f"wrote {args.out}: {len(features.x)} x {features.x.shape[1]} float32")


def write_features(out: Path, features: Features, store_path: Path, source: Source) -> None:
    """Write features with the names, labels and splits of their store; `out` is whole at any time."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".tmp")
    with closing(open_sequences(store_path)) as store, h5py.File(partial, "w") as file:
        file["features"] = features.x.numpy()
        file["label"] = features.y.numpy()
        file.create_dataset("name", data=store.table.name.tolist(), dtype=h5py.string_dtype())
        for benchmark in store.benchmarks:
            file[f"split/{benchmark}"] = store.is_train(benchmark)
        file.attrs["checkpoint_sha256"] = source.sha256 or source.checkpoint
        file.attrs["store_sha256"] = file_sha256(store_path)
    partial.replace(out)


if __name__ == "__main__":
    run_command(main)
