"""A million rows: rows per second, memory, and whether a job that is killed three times ends with the same bytes.

    python benchmarks/batch.py [--data DIR] [--rows 1000000] [--runs DIR]

Repeats the phrases of SST-2 (ten words on average) into a Parquet file, and labels it with `classifine predict` by a
classifier that was trained on 2,000 of them and exported for OpenVINO in int8: a tenth of the rows, all rows, and all
rows once more with the process killed at three random points and started again by the same command. Prints a table in
Markdown. Nothing else should run meanwhile.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CLI = [sys.executable, "-m", "classifine"]
PART = 100_000


@dataclass(frozen=True)
class Job:
    seconds: float
    peak_mib: int
    killed: bool


def classifier(data: Path, runs: Path) -> Path:
    folder = runs / "sst2"
    if not (folder / "openvino").exists():
        rows = str(data / "glue_sst2" / "train.jsonl")
        flags = ["--max-train-rows", "2000", "--max-eval-rows", "1000", "-o", str(folder), "--overwrite"]
        with (runs / "sst2.log").open("w") as log:
            for command in (["train", rows, *flags], ["export", str(folder), "--to", "openvino", "--int8"]):
                subprocess.run([*CLI, *command], stdout=log, stderr=log, check=True)
    return folder


def write_rows(data: Path, path: Path, rows: int) -> None:
    with (data / "glue_sst2" / "train.jsonl").open(encoding="utf-8") as file:
        texts = [json.loads(line)["sentence"] for line in file]
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    endless = cycle(texts)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            part = {"id": range(start, start + count), "text": list(islice(endless, count))}
            writer.write_table(pa.table({"id": pa.array(part["id"]), "text": part["text"]}, schema=schema))


def predict(folder: Path, given: Path, answered: Path, log: Path, kill_after: float | None = None) -> Job:
    """One process, ended by SIGKILL after so many seconds; its time and peak memory."""
    start = time.monotonic()
    with log.open("a") as file:
        process = subprocess.Popen([*CLI, "predict", str(folder), str(given), "-o", str(answered)], stderr=file)
        if kill_after is not None:
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, -9):
        sys.exit(f"predict ended with {process.returncode}; see {log}")
    return Job(time.monotonic() - start, round(usage.ru_maxrss / 1024), process.returncode == -9)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark-batch"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    folder, log = classifier(args.data, args.runs), args.runs / "predict.log"
    log.unlink(missing_ok=True)
    print("| job | rows | rows/s | peak memory, MiB | the same bytes |\n| --- | --- | --- | --- | --- |")
    seconds = 0.0
    whole = args.runs / "whole.parquet"
    for rows in (args.rows // 10, args.rows):
        given = args.runs / f"{rows}.parquet"
        write_rows(args.data, given, rows)
        job = predict(folder, given, whole, log)
        seconds = job.seconds
        print(f"| at once | {rows} | {rows / seconds:.0f} | {job.peak_mib} | |", flush=True)
    draw, parts = random.Random(args.seed), args.runs / "parts.parquet"
    parts.unlink(missing_ok=True)
    jobs = [predict(folder, given, parts, log, draw.uniform(0.05, 0.3) * seconds) for _ in range(3)]
    jobs.append(predict(folder, given, parts, log))
    kills = sum(job.killed for job in jobs)
    rate, peak = args.rows / sum(job.seconds for job in jobs), max(job.peak_mib for job in jobs)
    same = "yes" if digest(parts) == digest(whole) else "NO"
    print(f"| killed {kills} times | {args.rows} | {rate:.0f} | {peak} | {same} |")


if __name__ == "__main__":
    main()
