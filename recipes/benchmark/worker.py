"""A process that measures one workload, a round at each line it reads."""

import json
import os
import sys

MARK = "BENCHMARK "


def main():
    """Reads the workload and then commands, one a line."""
    request = json.loads(sys.stdin.readline())
    threads = request["threads"]
    if threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["cores"])
    from recipes.benchmark.workload import Step, Workload

    if threads:
        _limit_torch(threads)
    step = Step(Workload(**request["workload"]))
    _answer(compile_seconds=step.compile_seconds)
    for line in sys.stdin:
        if line.strip() == "step":
            _answer(rate=step.rate(request["seconds"]))
        elif line.strip() == "fit":
            rate = step.rate(request["seconds"] / 4)
            updates = max(10, int(rate * request["seconds"]))
            inside, alone = step.fit_rate(updates)
            _answer(fit_rate=inside, alone_rate=alone)


def _limit_torch(threads):
    # The one framework that does not read its number from the environment.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def _answer(**values):
    print(MARK + json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
