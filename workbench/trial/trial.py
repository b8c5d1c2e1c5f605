"""A trial from files to its account: plan, work, count, look at what was refused, keep."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from services.shared.contract.model import Contract
from services.shared.identities import SILVER_ROOT, LakeKey, ObjectId
from services.shared.ledger.records import Counts
from workbench.inprocess.folder import ACCOUNT, CONTRACTS, shown
from workbench.inprocess.pipeline import LOT_BYTES, UNIT_BYTES
from workbench.trial.account import Account, RefusedFile
from workbench.trial.inputs import Input
from workbench.trial.place import new_place
from workbench.trial.refusals import count_rescued, read_refusals, unknown_fields
from workbench.trial.work import Done, Refused, Settings, tasks
from workbench.trial.workers import LEAST_BYTES, Watch, work_through

_TASKS_PER_JOB = 3  # at least, if the files are large enough, so that all processes end at about the same time


def run_trial(
    inputs: Sequence[Input],
    contracts: Mapping[str, Contract],
    out: Path,
    jobs: int,
    watch: Watch = lambda _: None,
    complete: Callable[[Path], None] = lambda _: None,
) -> Account:
    """Transform files into `out`, which is replaced as a whole.

    Args:
        inputs: the files, each with its dataset.
        contracts: by dataset.
        out: the folder.
        jobs: how many processes, if the files are large enough.
        watch: told how many bytes were read so far.
        complete: gets the folder before it takes the place of the last one, and may add to it.

    Raises:
        OperatorError: `out` holds something else, or a worker was killed.
        OSError: the disk is full, or a file cannot be read.
    """
    started = time.monotonic()
    created = datetime.now(UTC)  # as if all files were uploaded now
    size = sum(one.path.stat().st_size for one in inputs)
    jobs = max(1, min(jobs, size // LEAST_BYTES))
    task_bytes = LOT_BYTES if jobs == 1 else max(LEAST_BYTES, min(LOT_BYTES, size // (jobs * _TASKS_PER_JOB)))
    used = {name: contract.version for name, contract in sorted(contracts.items())}
    account = Account(str(out), used, len(inputs), size, jobs=jobs)
    with new_place(out) as place:
        settings = Settings(contracts, place.folder, min(UNIT_BYTES, task_bytes))

        def refuse(refused: Refused) -> None:
            account.refused_files.append(RefusedFile(shown(refused.file), refused.reason, refused.advice))

        counts = Counts()
        given_up: dict[ObjectId, str] = {}
        files: dict[ObjectId, Path] = {}
        planned = tasks(inputs, created, settings, task_bytes, refuse, files.__setitem__)
        for done in work_through(planned, settings, jobs, watch):
            counts += done.counts
            given_up |= done.given_up
            _add(account, done)
        account.rows = counts.read
        account.complete = (account.silver, account.quarantined) == (counts.silver, counts.quarantined)
        account.refused_files += [
            RefusedFile(shown(files[id_]), "unreadable", _without(id_, why)) for id_, why in given_up.items()
        ]
        account.refusals = read_refusals(place.folder, {str(id_): path for id_, path in files.items()})
        for dataset, rows in count_rescued(place.folder).items():
            account.dataset(dataset).rescued = rows
            account.unknown_fields[dataset] = unknown_fields(place.folder, dataset)
        account.seconds = time.monotonic() - started
        (place.folder / ACCOUNT).write_text(json.dumps(account.as_document(), indent=2) + "\n", "utf-8")
        _keep_contracts(contracts, place.folder / CONTRACTS)
        complete(place.folder)
        place.keep()
    return account


def _keep_contracts(contracts: Mapping[str, Contract], folder: Path) -> None:
    """Copy the contracts that judged, so that what they accepted can be looked at later."""
    folder.mkdir()
    for contract in contracts.values():
        if contract.file:
            shutil.copyfile(contract.file, folder / f"{contract.dataset}.yaml")


def _without(id_: ObjectId, why: str) -> str:
    """A failure's sentence without the name of the unit that it begins with."""
    return re.sub(rf"^{re.escape(str(id_))}(@\d+-\d+)?:? ", "", why)


def _add(account: Account, done: Done) -> None:
    for file in done.files:
        key = LakeKey.parse(file.key)
        found = account.dataset(key.record_type)
        if key.root == SILVER_ROOT:
            found.silver += file.rows
            found.files += 1
            found.bytes += file.bytes
        else:
            found.quarantined += file.rows
