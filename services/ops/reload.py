"""Rows of files that are lost or were changed, read from Bronze again: the objects of their lots are loaded once more.

A lot's file holds rows of all of its objects, and what is lost cannot be told apart. So each object of the lot is taken
out, with what is left of it, and let in again: as `replay --force`, which needs the files, does with whole ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.ops.bronze import Listing
from services.ops.errors import OperatorError
from services.ops.grid import batched, in_batches_of_lots
from services.ops.replay.running import Unreadable, check_readable
from services.ops.rewrite.archive import Archive
from services.ops.rewrite.retraction import Retraction
from services.shared.deadline import Deadline
from services.shared.identities import LakeKey, LotId, ObjectId
from services.shared.lake import Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LeaseHeld, LeaseLost, LedgerObject, LetInAgain, LostRace, ObjectState
from services.shared.ledger.releases import KeptAway, NothingToRetract, NotReopened
from services.shared.planning.planner import Planner

_OBJECTS_PER_READ = 500


class Done(StrEnum):
    """What became of an object."""

    SENT = "taken out and sent"  # transform loads it again
    KEPT_AWAY = "kept away"  # it is being retracted for good: its rows have left now
    UNREADABLE = "unreadable"  # its bytes are not in Bronze: what is left of it stays as it is
    LEFT = "left"  # somebody else is at work on it


@dataclass(frozen=True, slots=True)
class Reloaded:
    """One object of a lot that had lost a file."""

    id: ObjectId
    done: Done
    units: int = 0  # that were sent
    why: str = ""


def lots_of_files(names: Sequence[str], silver_bucket: str) -> list[LotId]:
    """The lots that these files belong to, by their names: a key, or s3://bucket/key of the pipeline's bucket.

    Raises:
        OperatorError: it is no file of Silver or quarantine that smelt has written.
    """
    lots: dict[LotId, None] = {}
    for name in names:
        key = name.removeprefix(f"s3://{silver_bucket}/")
        try:
            lots[LakeKey.parse(key).lot] = None
        except ValueError as error:
            raise OperatorError(
                f"{name} is not a file of Silver or quarantine. Pass its key, such as `smelt audit` shows it."
            ) from error
    return list(lots)


def objects_of_lots(ledger: Ledger, archive: Archive, lots: Sequence[LotId], restore: bool) -> list[LedgerObject]:
    """The objects that have units in these lots, and those that somebody took out to load them again, and left.

    The lots do not tell any more which objects an earlier run has taken out of them. With `restore`, lots that have
    left the ledger come back first.

    Raises:
        OperatorError: neither the ledger nor the history knows one of the lots.
    """
    if restore:
        archive.restore_lots(ledger, lots)
    known = {lot.id: lot for few in in_batches_of_lots(lots) for lot in ledger.find_lots(few)}
    known |= {lot.id: lot for lot in archive.find_lots([lot for lot in lots if lot not in known])}
    if missing := [lot for lot in lots if lot not in known]:
        raise OperatorError(f"Nobody knows lot {missing[0]}: its files are not this ledger's. Run smelt audit.")
    ids = dict.fromkeys(unit.object for lot in lots for unit in known[lot].units)
    found = {one.id: one for one in ledger.find_objects(ids)}
    return [*_taken_out(ledger, found.keys()), *(found[id_] for id_ in ids if id_ in found)]


def _taken_out(ledger: Ledger, others: Collection[ObjectId]) -> Iterator[LedgerObject]:
    for few in batched((id_ for id_ in ledger.open_objects() if id_ not in others), _OBJECTS_PER_READ):
        yield from (known for known in ledger.find_objects(few) if known.is_to_be_reloaded)


@dataclass(frozen=True, slots=True)
class Reload:
    """Loads objects again whose lots have lost files. `retraction` accepts that."""

    listing: Listing
    lake: Lake
    retraction: Retraction
    planner: Planner

    def run(
        self, objects: Sequence[LedgerObject], watch: Callable[[str, int], None] = lambda _what, _number: None
    ) -> Iterator[Reloaded]:
        """One after the other, since they share lots. Whoever stops starts again; audit and reconcile name the rest.

        Raises:
            ClientError, BotoCoreError, Transient: AWS does not answer; what was done is kept.
        """
        for number, known in enumerate(objects, 1):
            watch("objects", number)
            yield self._one(known)

    def _one(self, known: LedgerObject) -> Reloaded:
        endless = Deadline.endless()
        if known.state is ObjectState.RETRACTED and not known.is_to_be_reloaded:
            return self._keep_away(known.id)
        source = self.listing.pinned(known.source)
        try:
            if source is None:
                raise Unreadable(f"{known.id} is not in Bronze any more")
            check_readable(self.lake, source)
            self.retraction.let_in_again(known.id, endless, unit_bytes=self.planner.unit_bytes, unless_kept_away=True)
            return Reloaded(known.id, Done.SENT, self.planner.plan(source, endless).units)
        except Unreadable as error:
            return Reloaded(known.id, Done.UNREADABLE, why=str(error))
        except KeptAway:  # since the objects were looked up, which may be hours ago
            return self._keep_away(known.id)
        except (NotReopened, NothingToRetract, LostRace, LeaseHeld, LeaseLost) as error:
            return Reloaded(known.id, Done.LEFT, why=str(error))

    def _keep_away(self, id_: ObjectId) -> Reloaded:
        try:
            self.retraction.go_on(id_, Deadline.endless())
        except LetInAgain as error:
            return Reloaded(id_, Done.LEFT, why=str(error))
        return Reloaded(id_, Done.KEPT_AWAY)
