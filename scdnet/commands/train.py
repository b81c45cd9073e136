"""`scdnet train`: pretrain an encoder."""

from collections.abc import Sequence
from functools import partial

from scdnet.cli import config_parser
from scdnet.config_file import load_config
from scdnet.engine.distributed import is_main
from scdnet.engine.run.signals import stop_on_signals
from scdnet.engine.train.pretrain import pretrain
from scdnet.eval.knn import score_1nn


def main(argv: Sequence[str] | None = None) -> int | None:
    """Pretrain an encoder; write config, metrics and checkpoints to runs/<name>."""
    parser = config_parser("train", main.__doc__)
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="resume from the newest checkpoint of the run"
    )
    existing.add_argument("--overwrite", action="store_true", help="replace a run of the same name")
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    score = partial(score_1nn, precision=config.precision, limit=config.eval_max_clips)
    with stop_on_signals() as stop:
        path = pretrain(
            config, resume=args.resume, overwrite=args.overwrite, score=score, stop=stop
        )
    if is_main():
        print(f"last checkpoint: {path}")
    return stop.status
