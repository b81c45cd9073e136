"""`scdnet extract`: write features to a file."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.commands.evaluation import extract_to_file, require_one_store, source_parser
from scdnet.config_file import load_config
from scdnet.engine.device import resolve_device
from scdnet.engine.distributed import is_main, process_group, rank_info, run_on_main
from scdnet.engine.locate import CONFIG, WEIGHTS, find_path
from scdnet.errors import ScdnetError
from scdnet.eval.inputs import build_inputs
from scdnet.files import check_writable
from scdnet.results.record import Baseline


def find_weights(source: Path | Baseline) -> list[Path]:
    """Return the files of an encoder that lie on this machine; a baseline has none."""
    path = find_path(source) if isinstance(source, Path) else None
    if path is None:
        return []
    return [path / name for name in (CONFIG, WEIGHTS)] if path.is_dir() else [path]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the features [v_t ; v_s] of all sequences of the config's store to an HDF5 file."""
    parser = source_parser("extract", main.__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="the file to write, replaced if it exists"
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    store = require_one_store(config, "a features file")
    read = [store, *find_weights(args.source)]
    if args.out.resolve() in [path.resolve() for path in read]:
        raise ScdnetError(
            f"{args.out}: the features are made from this file, which would be overwritten; "
            "choose another --out"
        )
    device = resolve_device(config.device)
    with process_group(device):
        run_on_main(lambda: check_writable(args.out))
        (inputs,) = build_inputs([args.source], config, device, rank_info())
        table = extract_to_file(args.out, inputs)
    if is_main():
        print(f"wrote {args.out}: {len(table.x)} x {table.x.shape[1]} float32")
