"""`scdnet doctor`: check what a run needs before it starts."""

from collections.abc import Sequence

from tabulate import tabulate

from scdnet.cli import config_parser
from scdnet.config_file import load_config
from scdnet.engine.doctor import examine
from scdnet.engine.doctor_gpu import examine_modes


def main(argv: Sequence[str] | None = None) -> int:
    """Check what a run needs before it starts; exit with status 1 if there is a problem."""
    parser = config_parser("doctor", main.__doc__)
    parser.add_argument(
        "--gpu",
        action="store_true",
        help="also do ten steps on noise, eager and as one CUDA graph each",
    )
    args = parser.parse_intermixed_args(argv)
    config = load_config(args.config, args.overrides)
    findings = examine(config)
    if args.gpu:
        findings += examine_modes(config)
    problems = [finding for finding in findings if finding.is_problem]
    rows = [(name, "problem" if bad else "ok", text) for name, text, bad in findings]
    print(tabulate(rows, headers=("check", "result", "details"), disable_numparse=True))
    if problems:
        print(f"\nfirst problem: {problems[0].name}: {problems[0].text}")
    return 1 if problems else 0
