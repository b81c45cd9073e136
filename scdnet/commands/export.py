"""`scdnet export`: write an encoder to a directory that can be shared, or as an ONNX graph."""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.commands.export_source import Source, open_store, read_source
from scdnet.config import Config
from scdnet.engine.checkpoint import build_encoder
from scdnet.engine.exported_writer import (
    Packed,
    check_target,
    convert_weights,
    pack_encoder,
    write_exported,
)
from scdnet.eval.exporting import (
    Head,
    Rounding,
    fit_head,
    measure_rounding,
    measure_rounding_on_noise,
)
from scdnet.eval.onnx_export import check_packages, export_onnx
from scdnet.files import check_writable
from scdnet.models.components import Components
from scdnet.models.encoder import DualPathEncoder
from scdnet.results.model_card import CardFacts, describe_size, write_card


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser("export", main.__doc__)
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="runs/<name> of scdnet train, or a checkpoint"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="config values, e.g. data.store=PATH of a store that was moved",
    )
    parser.add_argument("--out", type=Path, metavar="DIRECTORY", help="where to write the encoder")
    parser.add_argument(
        "--onnx",
        type=Path,
        metavar="FILE",
        help="write an ONNX graph, with or without --out; needs scdnet[onnx]",
    )
    parser.add_argument(
        "--from-frames",
        action="store_true",
        help="with --onnx: it takes normalized frames, any number of them, instead of clips",
    )
    parser.add_argument(
        "--license", metavar="NAME", help="the license of the weights, e.g. apache-2.0"
    )
    parser.add_argument(
        "--half", action="store_true", help="store float16, and print what that costs"
    )
    parser.add_argument(
        "--head",
        action="store_true",
        help="add a linear head, fitted to the training split of the store",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")
    args = parser.parse_intermixed_args(argv)
    if args.out is None and args.onnx is None:
        parser.error("expected --out DIRECTORY, --onnx FILE or both")
    if args.from_frames and args.onnx is None:
        parser.error("--from-frames: expected --onnx FILE beside it")
    for name in ("license", "half", "head", "overwrite"):
        if args.out is None and getattr(args, name):
            parser.error(f"--{name}: expected --out DIRECTORY beside it")
    return args


def measure_half(config: Config, encoder: DualPathEncoder) -> Rounding:
    """Measure what float16 costs: on the store, or on noise if it is not there."""
    rounded = copy.deepcopy(encoder)
    rounded.load_state_dict(convert_weights(encoder, "float16"))
    stores = config.data.stores
    if len(stores) > 1 or not stores[0].is_file():
        return measure_rounding_on_noise(encoder, rounded)
    return measure_rounding(encoder, rounded, open_store(config, encoder))


def describe_head(head: Head) -> str:
    """Return a sentence on a linear head."""
    text = f"The linear head has {len(head.probe.class_names)} classes"
    if head.top1 is None:
        return f"{text}; there is no test split to evaluate it on"
    return f"{text} and recognizes {head.top1:.1f} % of the test split"


def make_card(
    args: argparse.Namespace,
    source: Source,
    encoder: DualPathEncoder,
    *,
    packed: Packed,
    notes: Sequence[str],
) -> str:
    """Return the text of the model card; `notes` are sentences without a period."""
    head = packed.config.head
    facts = CardFacts(
        title=args.out.resolve().name,
        license=args.license,
        config=source.trained,
        skeleton=encoder.skeleton,
        pretraining=packed.config.pretraining,
        num_weights=count_weights(encoder),
        num_components=count_components(encoder),
        num_features=packed.config.num_features,
        scdnet_version=packed.config.scdnet_version,
        results=source.results,
        notes=[f"{note}." for note in notes],
        class_names=head.class_names if head else (),
    )
    return write_card(facts)


def count_weights(encoder: DualPathEncoder) -> int:
    """Return the number of weights that were trained."""
    return sum(weight.numel() for weight in encoder.parameters())


def count_components(encoder: DualPathEncoder) -> int:
    """Return the number of principal components beside the features of the paths."""
    parts = [part for part in encoder.modules() if isinstance(part, Components)]
    return sum(sum(part.widths.values()) for part in parts)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the query encoder of a run to a directory that can be shared, or as an ONNX graph.

    The directory contains the weights (model.safetensors), config.json, and a model card with the
    scores of the run. `scdnet.load_encoder` loads it.
    """
    args = parse_arguments(argv)
    if args.out is not None:
        check_target(args.out, overwrite=args.overwrite)
    if args.onnx is not None:
        check_packages()
        check_writable(args.onnx)
    source = read_source(args.run, args.overrides)
    encoder = build_encoder(source.checkpoint, num_heads=None)
    if args.out is not None:
        write_directory(args, source, encoder)
    if args.onnx is not None:
        write_graph(args, source, encoder)


def write_graph(args: argparse.Namespace, source: Source, encoder: DualPathEncoder) -> None:
    """Write an encoder as an ONNX graph, and print what it takes and how exact it is."""
    written = export_onnx(
        encoder,
        args.onnx,
        stream=source.config.stream,
        level=source.config.feature_level,
        from_frames=args.from_frames,
    )
    axes = ", ".join(map(str, written.input_shape))
    print(
        f"{args.onnx}: {written.num_bytes / 1e6:.1f} MB, {written.input_name} ({axes}) to "
        f"{written.num_features} features; largest difference from torch: "
        f"{written.largest_difference:.1e}"
    )


def write_directory(args: argparse.Namespace, source: Source, encoder: DualPathEncoder) -> None:
    """Write an encoder to a directory that can be shared, and print its size and what it lacks."""
    notes = []
    head = None
    if args.head:
        head = fit_head(encoder, open_store(source.config, encoder), seed=source.config.seed)
        notes.append(describe_head(head))
    packed = pack_encoder(
        encoder,
        source.config.stream,
        dtype="float16" if args.half else "float32",
        probe=head.probe if head else None,
        pretraining=source.pretraining,
    )
    if args.half:
        notes.append(measure_half(source.config, encoder).describe())
    card = make_card(args, source, encoder, packed=packed, notes=notes)
    write_exported(args.out, packed, card)
    weights = packed.config.weights
    size = describe_size(count_weights(encoder), count_components(encoder))
    print(f"{args.out}: {size}; in {weights.dtype}, {weights.num_bytes / 1e6:.1f} MB")
    for line in (*notes, *name_gaps(args, source)):
        print(line)


def name_gaps(args: argparse.Namespace, source: Source) -> list[str]:
    """Return what the model card lacks."""
    gaps = []
    if args.license is None:
        gaps.append("The model card states no license: add --license NAME before you share it")
    if not source.results:
        gaps.append("The model card has no scores: evaluate the run by scdnet evaluate first")
    return gaps
