"""How fast ingest puts the units of one large object on the queue, and in how much memory.

    python -m benchmarks.planning [--units N] [--emulator-units N] [--latency SECONDS] [--json]

The real planner with real clients; its ledger is on MiniStack. The queue is an HTTP server in a process of its own
that takes every batch after a latency, as SQS does, or MiniStack's SQS, which answers one call at a time. CPU seconds
are those of the planner's process: on a Lambda function with less than a whole core, they decide.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from local.ministack import ministack
from local.stack import CREDENTIALS, connect, create_ledger
from services.shared.aws import aws_client
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.planning.planner import Outcome, Planner
from services.shared.sqs import send_ten
from services.shared.units import MAX_OBJECT_BYTES, BronzeObject

UNIT_BYTES = 64 * 1024 * 1024
LARGEST = {"50 TB": 50 * 10**12, "50 TiB": MAX_OBJECT_BYTES}
MEMORY_MB_OF_A_CORE = 1769  # Lambda gives one whole core at this memory, and less in proportion below it
INGEST_MEMORY_MB = 512


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, latency: float) -> None:
    """SendMessageBatch and nothing else: all entries are taken, after a while."""
    while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length:" in line)
        entries = json.loads(await reader.readexactly(length))["Entries"]
        await asyncio.sleep(latency)
        body = json.dumps({"Successful": [{"Id": entry["Id"], "MessageId": entry["Id"]} for entry in entries]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()


def _serve(latency: float, port: Any) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _answer(reader, writer, latency)
        except (asyncio.IncompleteReadError, ConnectionError):  # the planner has ended
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def slow_queue(latency: float) -> Iterator[str]:
    """The endpoint of a queue that answers each call after `latency` seconds, any number of them at once."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(latency, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def plan(units: int, ledger: Ledger, sqs: Any, queue_url: str) -> dict[str, float]:
    """Plan an object of this many units."""
    deadline = Deadline(lambda: until - time.monotonic(), 5.0)

    def send(bodies: Sequence[str]) -> None:
        send_ten(sqs, queue_url, bodies, deadline)

    key = f"bronze/shipments/2026/01/31/export-of-an-ordinary-length-{units}-{time.monotonic_ns()}.jsonl"
    source = BronzeObject("smelt-bronze", key, units * UNIT_BYTES, "d41d8cd98f00b204e9800998ecf8427e", None, _now())
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    until = started + 900
    outcome = Planner(ledger, "smelt-bronze", UNIT_BYTES, send).plan(source, deadline).outcome
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    if outcome is not Outcome.PLANNED:
        raise RuntimeError(f"the object was not planned but {outcome}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"units": units, "seconds": seconds, "cpu_seconds": cpu, "peak_mib": after.ru_maxrss / 1024}


def _now() -> datetime:
    return datetime.now(UTC)


def measure(asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Both queues; a short planning first, in which clients and connections are made."""
    os.environ.update(CREDENTIALS)
    with ministack() as endpoint, slow_queue(asked.latency) as slow:
        clients = connect(endpoint)
        create_ledger(clients.dynamodb, "ledger")
        ledger = Ledger(clients.dynamodb, "ledger")
        queues = {"slow": (slow, f"{slow}/queue"), "ministack": (endpoint, _queue(clients.sqs))}
        found = {}
        for name, (where, url) in queues.items():
            os.environ["AWS_ENDPOINT_URL"] = where
            sqs = aws_client("sqs")
            plan(160, ledger, sqs, url)
            found[name] = plan(asked.units if name == "slow" else asked.emulator_units, ledger, sqs, url)
    return found


def _queue(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName="units")["QueueUrl"])


def report(found: dict[str, dict[str, float]], latency: float) -> None:
    names = {"slow": f"a queue that takes {latency * 1000:.0f} ms a call", "ministack": "MiniStack's queue"}
    for name, run in found.items():
        rate, cpu = run["units"] / run["seconds"], run["cpu_seconds"] / run["units"]
        print(
            f"{names[name]}: {run['units']:,.0f} units in {run['seconds']:.1f} s = {rate:,.0f}/s, "
            f"{cpu * 1e6:.0f} us of CPU a unit, peak {run['peak_mib']:.0f} MiB"
        )
    run = found["slow"]
    for name, size in LARGEST.items():
        units = -(-size // UNIT_BYTES)
        whole = units * run["seconds"] / run["units"]
        part = units * run["cpu_seconds"] / run["units"] * MEMORY_MB_OF_A_CORE / INGEST_MEMORY_MB
        print(
            f"{name}, {units:,} units: {whole:.0f} s with a whole core, "
            f"{max(whole, part):.0f} s with {INGEST_MEMORY_MB} MB of memory"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--emulator-units", type=int, default=5_000)
    parser.add_argument("--latency", type=float, default=0.01)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked)
    if asked.json:
        json.dump(found, sys.stdout, indent=2)
    else:
        report(found, asked.latency)


if __name__ == "__main__":
    main()
