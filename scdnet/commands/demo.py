"""`scdnet demo`: everything from nothing to a retrieval score."""

from collections.abc import Sequence
from pathlib import Path

from scdnet.cli import command_parser
from scdnet.commands import knn, prepare_demo, prepare_ntu, report, train
from scdnet.commands.evaluation import require_one_store
from scdnet.config_file import load_config
from scdnet.engine.run.directory import check_outputs
from scdnet.raw.convert import check_output

CONFIG = "demo"
RAW = "data/demo_raw"
CLOSING_TEXT = """
The encoder was pretrained on the training split of x-sub. On x-view the same encoder is evaluated:
pretraining included half of its test recordings, without their labels.

Open {page} in a browser: it shows what was learned, with skeletons that move.

Store: {store}   run: {run} (config.yaml, metrics.jsonl, TensorBoard files, last.pt, results.jsonl)
Next, in this directory:
  scdnet inspect {store} --render S003C001P003R001A050 punch.gif
  tensorboard --logdir {runs}
  scdnet prepare ntu --dataset ntu60 --raw nturgbd_skeletons_s001_to_s017.zip --out data/ntu60.h5
  scdnet train -c ntu60_xsub"""


def main(argv: Sequence[str] | None = None) -> int | None:
    """Synthesize recordings, convert them, pretrain an encoder on them and evaluate it.

    Writes to data/ and runs/ of the current directory, where it replaces an earlier demo.
    """
    parser = command_parser("demo", main.__doc__)
    prepare_demo.add_sizes(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="config values, e.g. optim.steps=100"
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(Path(CONFIG), args.overrides)
    store = str(require_one_store(config, "the demo"))
    prepare_demo.check_directory(Path(RAW), overwrite=True)
    check_output(Path(store), overwrite=True)
    check_outputs(config.run_dir)
    page = config.run_dir / "report.html"
    sizes = [f"--{name}={getattr(args, name)}" for name in prepare_demo.SIZES]
    configured = ["-c", CONFIG, *args.overrides]
    compared = [
        "--baseline=raw",
        "--baseline=raw-pca",
        "--baseline=random-init",
        f"--checkpoint={config.run_dir}/last.pt",
    ]
    steps = (
        (prepare_demo.main, [f"--out={RAW}", "--overwrite", *sizes]),
        (prepare_ntu.main, ["--dataset=ntu60", f"--raw={RAW}", f"--out={store}", "--overwrite"]),
        (train.main, [*configured, "--overwrite"]),
        (knn.main, [*configured, "data.benchmark=xsub", *compared]),
        (report.main, [str(config.run_dir), f"--out={page}"]),
        (knn.main, [*configured, "data.benchmark=xview", *compared]),
    )
    for step, arguments in steps:
        if status := step(arguments):
            return status
        print(flush=True)
    print(CLOSING_TEXT.format(page=page, store=store, run=config.run_dir, runs=config.runs_dir))
    return None
