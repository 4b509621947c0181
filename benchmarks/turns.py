"""Sides that are timed in turn: each is a process that stays, loaded once, and measures when its turn comes."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any


def in_turn(
    commands: dict[str, list[str]], rounds: int
) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """(what each side said when it was ready, its measurement of every round); the order of a round is random.

    A command is a script of ours with its flags, and calls `serve`. A side that does not get ready is left out; one that
    ends later ends the benchmark. The reason is on standard error.
    """
    workers: dict[str, Any] = {}
    ready: dict[str, dict[str, Any]] = {}
    try:
        for side, command in commands.items():
            whole = [sys.executable, *command]
            workers[side] = subprocess.Popen(whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if line := workers[side].stdout.readline():
                ready[side] = json.loads(line)
            else:
                print(f"{side} is left out: it ended before it was ready.", file=sys.stderr)
        results: dict[str, list[dict[str, Any]]] = {side: [] for side in ready}
        for number in range(rounds):
            for side in random.Random(number).sample(list(ready), len(ready)):
                workers[side].stdin.write("\n")
                workers[side].stdin.flush()
                line = workers[side].stdout.readline()
                if not line:
                    sys.exit(f"{side} ended before it answered; its reason stands above.")
                results[side].append(json.loads(line))
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return ready, results


def serve(ready: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
    """Say that this side is ready, and answer each line of standard input with one measurement."""
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)
