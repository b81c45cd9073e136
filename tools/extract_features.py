#!/usr/bin/env python3
from collections.abc import Sequence
from pathlib import Path

import h5py

from scdnet.cli import config_parser, run_command
from scdnet.config_file import load_config
from scdnet.data.clips import load_clips
from scdnet.data.store import open_sequences
from scdnet.engine.logs import say
from scdnet.engine.runtime import keep_freed_memory, resolve_device
from scdnet.errors import ScdnetError
from scdnet.eval.features import Features, Source, extract_features, load_source
from scdnet.files import file_sha256, written_aside


def main(argv: Sequence[str] | None = None) -> None:
    """Write the features [v_t ; v_s] of all sequences of the config's store to an HDF5 file."""
    parser = config_parser(main.__doc__)
    parser.add_argument("--checkpoint", required=True, metavar="PATH", help="a checkpoint, ours or the authors'")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, replaced if it exists")
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    store_path, out = config.data.store, args.out
    if out.resolve() in (store_path.resolve(), Path(args.checkpoint).resolve()):
        raise ScdnetError(f"{out}: is what the features are made from, it would be overwritten")
    with written_aside(out) as partial:  # before the work: a place that cannot be written to is an error at once
        encoder, source = load_source(args.checkpoint, config)
        clips = load_clips(config.data, config.stream, resolve_device(config.device))
        say(clips.place)
        keep_freed_memory()
        features = extract_features(encoder, clips, config.precision)
        write_features(partial, features, store_path=store_path, source=source)
    print(f"wrote {out}: {len(features.x)} x {features.x.shape[1]} float32")


def write_features(path: Path, features: Features, *, store_path: Path, source: Source) -> None:
    """Write features (N, 2D) with the names, labels and splits of their store."""
    with open_sequences(store_path) as store, h5py.File(path, "w") as file:
        file["features"] = features.x.numpy()
        file["label"] = features.y.numpy()
        file.create_dataset("name", data=store.table.name.tolist(), dtype=h5py.string_dtype())
        for benchmark in store.benchmarks:
            file[f"split/{benchmark}"] = store.is_train(benchmark)
        file.attrs["checkpoint_sha256"] = source.sha256 or source.checkpoint
        file.attrs["store_sha256"] = file_sha256(store_path)


if __name__ == "__main__":
    run_command(main)
