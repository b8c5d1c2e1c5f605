"""Leases on what only one process at a time should work on, such as the commits of one table of the lake.

    (none) --take--> held --renew--> held --return_lease--> (none)
                      |
                      '-- its end passes --> whoever comes takes it

A lease saves work; it proves nothing: a holder may be paused beyond its end. What must not happen twice needs a
condition of its own, as every commit of a table has.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from services.shared.ledger.items import Item, token_of
from services.shared.ledger.records import LeaseHeld, LeaseLost
from services.shared.ledger.table import NEW, LedgerTable, lease_over, leased_with


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is ours."""

    name: str
    token: str
    until_ms: int  # epoch milliseconds


class Leases:
    """One small item for each name."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def take(self, name: str, seconds: float) -> Lease:
        """
        Raises:
            LeaseHeld: somebody else has it.
        """
        token, until = secrets.token_hex(8), self._table.lease_end(seconds)
        item = _key(name) | {"lease_token": {"S": token}, "lease_until": {"N": str(until)}}
        free = NEW | lease_over(self._table.now_ms())
        found = self._table.put_if(item, free, lambda there: token_of(there) == token)
        if found is not None:
            held_until = int(found["lease_until"]["N"]) if found else 0
            raise LeaseHeld(f"somebody else works on {name}", held_until)
        return Lease(name, token, until)

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """
        Raises:
            LeaseLost: it ended, and somebody else took it.
        """
        until = self._table.lease_end(seconds)
        values = {":until": {"N": str(until)}}
        if not self._table.update(_key(lease.name), "SET lease_until = :until", values, leased_with(lease.token)):
            raise LeaseLost(f"somebody else works on {lease.name} now")
        return replace(lease, until_ms=until)

    def return_lease(self, lease: Lease) -> None:
        """Nobody need wait for its end. A lease that is no longer ours is left alone."""
        self._table.delete_if(_key(lease.name), leased_with(lease.token))


def _key(name: str) -> Item:
    return {"pk": {"S": f"lease#{name}"}}
