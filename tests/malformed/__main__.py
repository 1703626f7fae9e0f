"""The full run: ``python -m tests.malformed --cases 600``.

Prints a line for each case that went wrong, and the counts; ends with 1 where there is any.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

from tests.malformed.cases import cases
from tests.malformed.harness import FAULTS, SECONDS, Judge


def main() -> int:
    """Run the cases."""
    parser = argparse.ArgumentParser(description="Malformed files before every command")
    parser.add_argument("--cases", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit of a case")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--show", action="store_true", help="what each command printed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        judge = Judge(Path(scratch))
        counts: Counter[str] = Counter()
        for case in cases(arguments.cases, arguments.seed):
            if arguments.only not in str(case):
                continue
            verdict, outcome = judge.judge(case, arguments.seconds)
            counts[verdict] += 1
            if verdict in (*FAULTS, "no sound run") or arguments.show:
                lines = [line for line in outcome.output.splitlines() if line.strip()]
                told = "\n".join(lines) if arguments.show else "".join(lines[-1:])[:160]
                sys.stdout.write(
                    f"{verdict} #{case.number} {case} [exit {outcome.status}, "
                    f"{outcome.seconds:.1f} s, {outcome.peak / 1e6:.0f} MB]: {told}\n"
                )
                sys.stdout.flush()
    sys.stdout.write(f"{counts.total()} cases: {dict(counts.most_common())}\n")
    return int(any(counts[fault] for fault in FAULTS))


if __name__ == "__main__":
    sys.exit(main())
