from collections.abc import Mapping, Sequence
from pathlib import Path

from scdnet.commands.evaluation import checkpoint_parser, evaluator_of, print_rows
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.engine.distributed import is_main, require_single_process
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import read_features, write_extracted
from scdnet.eval.feature_table import FeatureTable
from scdnet.eval.features import FINAL_LEVEL
from scdnet.eval.protocols import Evaluator

ON_FEATURES = {"knn": Evaluator.knn, "linear": Evaluator.linear}  # the others train the encoder


def main(argv: Sequence[str] | None = None) -> None:
    """Run all protocols that the config lists (`protocols`), on features that are extracted once.

    What runs/<name>/results.jsonl has of this checkpoint already is not computed again: a run that was stopped goes on.
    """
    parser = checkpoint_parser("evaluate", main.__doc__)
    parser.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="default: features.h5 in the folder of the run",
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    if config.feature_level != FINAL_LEVEL and not set(config.protocols) <= ON_FEATURES.keys():
        raise ScdnetError(
            f"feature_level={config.feature_level}: only knn and linear look at a level; set protocols=[knn,linear]"
        )
    if set(config.protocols) - ON_FEATURES.keys():
        require_single_process("fine-tuning")
    table = find_features(args.features or config.run_dir / "features.h5", config, args.checkpoint)
    if not is_main():
        return  # what is left takes no encoder
    evaluator = evaluator_of(args, config, skip=True)
    for protocol in config.protocols:
        rows = run_protocol(protocol, table, args.checkpoint, evaluator)
        print_rows(config, table.dataset, rows)


def find_features(path: Path, config: Config, checkpoint: str) -> FeatureTable:
    """The features file `path`, made if it is not there. Raises FeatureFileError if it is of other weights or data."""
    if path.exists():
        return read_features(path, like=config, checkpoint=checkpoint)
    return write_extracted(path, config, checkpoint)


def run_protocol(
    protocol: str, table: FeatureTable, checkpoint: str, evaluator: Evaluator
) -> Mapping[str, Mapping[str, float]]:
    """The metrics of one protocol, by name of the row."""
    if protocol in ON_FEATURES:
        return {f"{protocol}, {checkpoint}": ON_FEATURES[protocol](evaluator, table)}
    fraction = float(protocol.partition("@")[2] or 1)
    return evaluator.finetune(checkpoint, label_fraction=fraction)
