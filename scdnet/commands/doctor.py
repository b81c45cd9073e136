from collections.abc import Sequence

from scdnet.cli import config_parser
from scdnet.config_file import load_config
from scdnet.engine.doctor import examine


def main(argv: Sequence[str] | None = None) -> int:
    """Look at everything that a run needs, a line each, before it starts. Ends with status 1 if there is a problem."""
    args = config_parser("doctor", main.__doc__).parse_intermixed_args(argv)
    findings = examine(load_config(args.config, args.overrides))
    problems = [finding for finding in findings if finding.is_problem]
    names = max(len(finding.name) for finding in findings)
    texts = max(len(finding.text) for finding in findings if not finding.is_problem)
    for name, text, is_problem in findings:
        print(f"{name:{names}}  {f'problem: {text}' if is_problem else f'{text:{texts}}  ok'}")
    if problems:
        print(f"first problem: {problems[0].name}: {problems[0].text}")
    return 1 if problems else 0
