"""`scdnet doctor`: check what a run needs before it starts."""

from collections.abc import Sequence

from tabulate import tabulate

from scdnet.cli import config_parser
from scdnet.config_file import load_config
from scdnet.engine.doctor import examine


def main(argv: Sequence[str] | None = None) -> int:
    """Check what a run needs before it starts; exit with status 1 if there is a problem."""
    args = config_parser("doctor", main.__doc__).parse_intermixed_args(argv)
    findings = examine(load_config(args.config, args.overrides))
    problems = [finding for finding in findings if finding.is_problem]
    rows = [(name, "problem" if bad else "ok", text) for name, text, bad in findings]
    print(tabulate(rows, headers=("check", "result", "details"), disable_numparse=True))
    if problems:
        print(f"\nfirst problem: {problems[0].name}: {problems[0].text}")
    return 1 if problems else 0
