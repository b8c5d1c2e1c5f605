"""What does not fit together in the spool. Each answer is a suspicion: the spool is no snapshot of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.ops.audit.spool import LEAVING_TO_BE_RELOADED, Spool, names
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.records import Counts, LedgerObject, LotState, ObjectState, Retraction
from services.shared.units import BronzeObject, Plan

# What has left the ledger: of a lot that the history knows, the units of objects that are DONE there with this lot. A
# lot that no object has any more was retracted whole; only the history remembers it.
_PAST = """
DELETE FROM lot WHERE past AND lid NOT IN (SELECT lid FROM named);
DELETE FROM member WHERE lid NOT IN (SELECT lid FROM lot);
DELETE FROM file WHERE lid NOT IN (SELECT lid FROM lot);
CREATE INDEX named_lid ON named (lid, oid);
CREATE INDEX unit_uid ON unit (uid);
CREATE TABLE bound AS
  SELECT DISTINCT uid, member.lid AS lid FROM member JOIN lot USING (lid)
  WHERE lot.file IS NOT NULL
    AND EXISTS (SELECT 1 FROM named WHERE named.lid = member.lid AND named.oid = member.oid);
CREATE INDEX bound_uid ON bound (uid);
"""
_NO_PAST = "CREATE TABLE bound (uid INTEGER, lid INTEGER)"
# A unit item that is bound to a lot (1) and the entry of the unit in that lot's list (2) belong together: 3.
_PAIRS = """
CREATE TABLE odd AS
  SELECT uid, lid, sum(side) AS sides FROM (
    SELECT uid, lid, 1 AS side FROM unit WHERE lid IS NOT NULL UNION ALL SELECT uid, lid, 2 FROM member UNION ALL
    SELECT uid, lid, 1 FROM bound WHERE NOT EXISTS (SELECT 1 FROM unit WHERE unit.uid = bound.uid))
  GROUP BY uid, lid HAVING sides != 3
"""
_BOUND_WITHOUT_ENTRY = "SELECT unit.id FROM odd JOIN unit USING (uid, lid) WHERE sides = 1"
_ON_GRID = """
  start >= 0 AND start < size AND start % step = 0 AND stop = min(start + step, size)
"""
_LOTS = f"""
SELECT id FROM lot WHERE lid IN (
  SELECT lid FROM lot WHERE suspect
  UNION SELECT lid FROM odd WHERE sides != 1
  UNION SELECT lid FROM member LEFT JOIN object USING (oid) WHERE object.oid IS NULL OR NOT ({_ON_GRID})
  UNION SELECT file.lid FROM file LEFT JOIN listed USING (kid)
        WHERE committed AND ((listed.kid IS NULL AND must_exist) OR listed.content != file.content))
ORDER BY id
"""  # noqa: S608 (constants)
_COMMITTED = f"""
CREATE TABLE committed AS
  SELECT oid, count(DISTINCT CASE WHEN {_ON_GRID} THEN uid END) AS units,
         sum(read) AS read, sum(silver) AS silver, sum(quarantined) AS quarantined
  FROM member JOIN object USING (oid) WHERE committed AND in_scope GROUP BY oid
"""  # noqa: S608 (constants)
_ACCOUNTS = """
SELECT object.oid, id, state, size, step, created, seen, reason, advice, leaving, again,
       coalesce(units, 0), coalesce(read, 0), coalesce(silver, 0), coalesce(quarantined, 0),
       EXISTS (SELECT 1 FROM unit WHERE unit.oid = object.oid AND dead)
FROM object LEFT JOIN committed USING (oid) WHERE in_scope AND ({wanted}) ORDER BY id
"""
_SETTLED = "state = 'DONE' AND coalesce(units, 0) = (size + step - 1) / step"
_TOTAL_OF_SETTLED = f"""
SELECT count(*), coalesce(sum(read), 0), coalesce(sum(silver), 0), coalesce(sum(quarantined), 0)
FROM object LEFT JOIN committed USING (oid) WHERE in_scope AND {_SETTLED}
"""  # noqa: S608 (constants)


class Known:
    """One object of the spool: what the ledger says, and how much of it is committed."""

    def __init__(self, row: tuple[object, ...]) -> None:
        _, id_, state, size, step, created, seen, reason, advice, leaving, again, *numbers = row
        units, read, silver, quarantined, dead = numbers
        identity = ObjectId.parse(str(id_))
        moment = datetime.fromisoformat(str(created))
        source = BronzeObject(identity.bucket, identity.key, _int(size), identity.etag, None, moment)
        self.object = LedgerObject(
            Plan(source, _int(step)),
            ObjectState(str(state)),
            seen=datetime.fromisoformat(str(seen)),
            reason=str(reason),
            advice=str(advice),
            retraction=_retraction(_int(leaving), moment, again=bool(again)),
        )
        self.committed = _int(units)
        self.counts = Counts(_int(read), _int(silver), _int(quarantined))
        self.dead = _int(dead)

    @property
    def contradicts_itself(self) -> bool:
        """Whether it is DONE and not every unit is committed, or REJECTED or RETRACTED and some are."""
        if self.object.state is ObjectState.REJECTED or (
            self.object.state is ObjectState.RETRACTED and not self.object.is_leaving
        ):
            return self.committed > 0
        return self.object.state is ObjectState.DONE and self.committed < self.object.plan.units


def _retraction(leaving: int, moment: datetime, again: bool) -> Retraction | None:
    if leaving == LEAVING_TO_BE_RELOADED:
        return Retraction(moment, reload=True)
    return None if leaving else Retraction(moment, rows=Counts(), uploaded_again=moment if again else None)


def past(spool: Spool) -> None:
    """Tell what has left the ledger from what was lost. The history has been read, the listings not yet."""
    if spool.history:
        spool.run_all(_PAST)
    else:
        spool.run(_NO_PAST)


def prepare(spool: Spool) -> None:
    """The joins that several questions share. `past` comes before."""
    spool.run("CREATE INDEX listed_kid ON listed (kid)")
    spool.run(_PAIRS)
    spool.run(_COMMITTED)
    spool.run("CREATE INDEX committed_oid ON committed (oid)")


def lots(spool: Spool) -> Iterator[LotId]:
    """Lots whose record, units or files do not fit."""
    return map(LotId.parse, names(spool.query(_LOTS)))


def units(spool: Spool) -> Iterator[UnitId]:
    """Units that are bound to a lot that does not list them, or does not exist."""
    return map(UnitId.parse, names(spool.query(_BOUND_WITHOUT_ENTRY)))


def settled(spool: Spool) -> tuple[int, Counts]:
    """How many objects of the scope are DONE with every unit committed, and their rows. Most are; they are summed."""
    ((number, *rows),) = spool.query(_TOTAL_OF_SETTLED)
    return number, Counts(*rows)


def objects(spool: Spool, with_settled: bool) -> Iterator[Known]:
    """The objects of the scope, by name; all, or those that are not settled."""
    return map(Known, spool.query(_ACCOUNTS.format(wanted="1" if with_settled else f"NOT ({_SETTLED})")))


def lot_states(spool: Spool) -> Iterator[tuple[LotState, bool, int]]:
    """How many lots there are of each state, with and without files in `outputs`."""
    for state, leftover, number in spool.query("SELECT state, leftover, count(*) FROM lot GROUP BY state, leftover"):
        yield LotState(state), bool(leftover), number


def _int(value: object) -> int:
    return int(str(value))
