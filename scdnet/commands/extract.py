from collections.abc import Sequence
from pathlib import Path

from scdnet.commands.evaluation import checkpoint_parser
from scdnet.config_file import load_config
from scdnet.engine.distributed import is_main
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import write_extracted


def main(argv: Sequence[str] | None = None) -> None:
    """Write the features [v_t ; v_s] of all sequences of the config's store to an HDF5 file."""
    parser = checkpoint_parser("extract", main.__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="the file to write, replaced if it exists"
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    if args.out.resolve() in (config.data.store.resolve(), Path(args.checkpoint).resolve()):
        raise ScdnetError(
            f"{args.out}: is what the features are made from, it would be overwritten"
        )
    table = write_extracted(args.out, config, args.checkpoint)
    if is_main():
        print(f"wrote {args.out}: {len(table.x)} x {table.x.shape[1]} float32")
