"""Dask on ranks: client and scheduler with the root, workers with the others."""

from __future__ import annotations

import atexit
import logging
import time
from contextlib import (
    AbstractContextManager,
    ExitStack,
    nullcontext,
    suppress,
)
from typing import TYPE_CHECKING, Any, cast

from mpiapps.base import stopping
from mpiapps.base.errors import LaunchError
from mpiapps.base.streams import write_err
from mpiapps.comm.agree import agree
from mpiapps.comm.letters import Letters
from mpiapps.comm.mpi import MPI
from mpiapps.dasking.connection import ADDRESS, LINK, link_of
from mpiapps.dasking.keeper import Keeper, KeeperLost
from mpiapps.dasking.keys import LONGEST, Keys, make_keys
from mpiapps.dasking.network import address_of, address_towards, listens
from mpiapps.dasking.setup import ROOT, Setup, see_room, workers_of
from mpiapps.dasking.watch import Watch, time_is_over

if TYPE_CHECKING:
    from distributed import Client

ORDERS, REPORTS = 10, 20  # tags; the numbers after them are for large letters
ANSWER = 1.0  # s for a scheduler to answer on this host
PATIENCE = 60.0  # s for Dask to start: importing it anew from a shared disk is slow
OWN = 3.0  # s of those for the end that the root's host keeps for itself
IDLE = 0.005  # s between looks of a rank that waits


class Cluster:
    """The scheduler and the workers of some ranks. Collective to make and to leave.

    A context manager; `mpiapps.dask.dask_on_ranks` tells what it promises.

    Attributes
    ----------
    client : Client or None
        On the root.
    address, dashboard : str
        On the root: of the scheduler, and the port of its page, if there is one.
    keys : Keys or None
    summary : dict
        On the root, after the end: what the run was.
    """

    client: Client | None = None
    address = dashboard = ""
    keys: Keys | None = None
    _keeper: Keeper | None = None

    def __init__(self, comm: MPI.Intracomm, setup: Setup) -> None:
        self._comm, self._setup = comm.Dup(), setup
        self.rank, self.summary = comm.rank, dict[str, Any]()
        stopping.watch()  # mpiexec hands the warning to all ranks, and none dies of it
        self._settings = ExitStack()
        self._orders = Letters(self._comm, ORDERS)
        self._reports = Letters(self._comm, REPORTS)
        node = cast(MPI.Intracomm, comm.Split_type(MPI.COMM_TYPE_SHARED))
        first = node.rank == 0
        try:
            self._workers = workers_of(node, comm, setup)
            with agree(comm):
                see_room(self._workers, setup)
            self._hosts = [r for r, is_first in enumerate(comm.allgather(first))
                           if is_first]  # fmt: skip
            leaders = cast(MPI.Intracomm, comm.Split(0 if first else MPI.UNDEFINED))
            with agree(comm):  # what all first ranks raise, or none
                if first:
                    several = len(self._hosts) > 1 or setup.outside
                    here = address_of(leaders, setup.interface, several=several)
                    leaders.Free()
            with agree(comm):  # last: to end one takes longer than others wait
                self._keeper = Keeper() if first else None
            if self.rank == ROOT:
                self._start(here)
        except BaseException:
            self._settings.close()
            self._end()
            raise
        finally:
            node.Free()

    def _start(self, here: str) -> None:
        """Start scheduler, workers and client. Root only."""
        keys = None if self._setup.insecure else make_keys(_limit())
        first = {
            "keys": vars(keys) if keys else None,
            "folder": self._setup.folder,
            "path": self._setup.folders(),
            "settings": self._setup.settings,
            "idle": self._setup.idle,
            "scheduler": None,
        }
        try:
            assert self._keeper
            own = {
                "host": here,
                "dashboard": self._setup.dashboard,
                "restarts": self._setup.restarts,
            }
            self._keeper.order({**first, "scheduler": own})
            from mpiapps.dasking.quiet import be_quiet

            be_quiet()
            from distributed import Client  # while the other process does so, too

            answer = self._keeper.answer(PATIENCE)
            _tell(self._keeper, answer)
            self.keys, self.address = keys, answer["address"]
            self.dashboard = answer["dashboard"]
            for host in self._hosts[1:]:
                self._orders.send(host, (first, self.address))
            self._begin_workers(here)
            reports = self._heard(PATIENCE)
            for error in reports.values():
                if error is not None:
                    raise error
            if missing := set(self._hosts[1:]) - set(reports):
                raise LaunchError(
                    f"the workers on the hosts of ranks {sorted(missing)} did not"
                    f" connect to {self.address} within {PATIENCE:g} s; name the"
                    " network between the hosts by --interface"
                )
            self._make_current(Client)
        except Exception as error:
            for rank in range(1, self._comm.size):
                self._orders.send(rank, error)
            raise

    def _make_current(self, client: type[Client]) -> None:
        """Connect, so that a script that runs elsewhere finds the client here."""
        import dask.config

        found = self.keys.config() if self.keys else {}
        found |= {ADDRESS: self.address, LINK: link_of(self.dashboard)}
        self._settings.enter_context(dask.config.set(found))
        self.client = client(self.address, timeout=PATIENCE, name="mpiapps")

    def _begin_workers(self, host: str) -> None:
        """Let the workers of this host connect to the scheduler."""
        assert self._keeper
        self._keeper.order({
            "address": self.address, "host": host, "workers": self._workers
        })  # fmt: skip
        self._keeper.answer(PATIENCE)

    def __enter__(self) -> Cluster:
        """Return this; on the other ranks when the root is through."""
        self._watch: AbstractContextManager[object] = nullcontext()
        try:
            if self.rank == ROOT:
                self._watch = Watch(self.wrong)
                self._watch.__enter__()
            else:
                self._serve()
        except BaseException:
            self._close_all()
            self._end()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        """Close client, workers and scheduler, within 10 s."""
        try:
            try:
                self._watch.__exit__(None, None, None)
            finally:  # a signal may have come just now
                self._close_all()
            if exc[0] is not None:  # whoever handles it may end all by force
                self._end()
        except BaseException:
            self._end()
            raise
        finally:
            self._settings.close()
        if exc[0] is None:  # else who handles it ends the other ranks
            self._orders.close()
            self._reports.close()
            self._comm.Free()

    def _serve(self) -> None:
        """Wait until the root is through; see to this host's workers. Not the root."""
        while True:
            _, order = self._orders.wait(ROOT, self._look, IDLE)
            match order:
                case None:
                    if self._keeper:
                        self._keeper.close()
                        self._keeper.end()
                        self._reports.send(ROOT, None)
                    return
                case BaseException():
                    raise order
                case first, address:
                    self.address = address
                    self._reports.send(ROOT, self._joined(first))

    def _joined(self, first: dict[str, Any]) -> Exception | None:
        """Start this host's workers; return what went wrong."""
        assert self._keeper
        try:
            self._keeper.order(first)
            _tell(self._keeper, self._keeper.answer(PATIENCE))
            host = self.address.partition("://")[2].rpartition(":")[0]
            self._begin_workers(address_towards(host.strip("[]")))
        except Exception as error:
            return error
        return None

    def see_it_there(self) -> None:
        """Raise `KeeperLost` if Dask's process has ended by itself. Local.

        A script that catches all errors may come to its end without it.
        """
        if self.rank == ROOT and self._keeper and self._keeper.lost():
            raise KeeperLost(self._keeper.told())

    def lost(self) -> str:
        """Return why the client has no scheduler any more; "" if it has. Root only."""
        assert self.client is not None
        assert self._keeper
        if self.client.status == "running":
            return ""
        if not self._keeper.lost() and self._answers():
            return ""
        return self._keeper.told()

    def _answers(self) -> bool:
        """Whether a scheduler is there, if a busy one: our client may be closed."""
        from distributed import Client

        try:
            Client(self.address, timeout=ANSWER, set_as_default=False).close()
        except OSError:
            return listens(self.address)
        return True

    def wrong(self) -> BaseException | None:
        """Return why the run cannot go on, or is not to; `None` if it does. Local."""
        if self._keeper and self._keeper.lost():
            return KeeperLost(self._keeper.told())
        return time_is_over() if self._setup.deadline and self.rank == ROOT else None

    def _look(self) -> None:
        if (error := self.wrong()) is not None:
            raise error

    def _close_all(self) -> None:
        """Close the workers of the other hosts, then what is here; by the root."""
        if self.rank != ROOT:
            return
        assert self._keeper
        for rank in range(1, self._comm.size):
            self._orders.send(rank, None)
        self._heard(self._keeper.left() - OWN)
        self._keeper.order({"end": True})
        if self.client is not None:
            before = logging.root.manager.disable
            logging.disable()  # what it is connected to may be gone
            with suppress(Exception):
                self.client.close(timeout=1)
            logging.disable(before)
        self.summary = self._keeper.close()
        atexit.register(self._keeper.end)  # meanwhile the ranks leave MPI

    def _heard(self, seconds: float) -> dict[int, Any]:
        """Return what the first ranks of the other hosts report, by rank. Root only."""
        until, found = time.monotonic() + seconds, dict[int, Any]()
        while len(found) < len(self._hosts) - 1 and time.monotonic() < until:
            if (letter := self._reports.look()) is None:
                time.sleep(IDLE / 10)
            else:
                found.update([letter])
        return found

    def _end(self) -> None:
        if self._keeper:
            self._keeper.end()


def _limit() -> float:
    """Return the seconds that this run may last, as far as is known."""
    left = stopping.left()
    return LONGEST if left in (0.0, float("inf")) else left


def _tell(keeper: Keeper, answer: dict[str, Any]) -> None:
    """Say on standard error what a host had to tell when it started."""
    for line in answer["told"]:
        write_err(f"mpiapps: {keeper.host}: {line}\n")
