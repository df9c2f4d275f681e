"""A Dask cluster on ranks: client and scheduler on the root, workers on the others."""

from __future__ import annotations

import atexit
import logging
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING, Any, cast

from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import LaunchError
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.messages import MessageChannel
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.dask_cluster.cluster_options import (
    ROOT,
    ClusterOptions,
    check_memory,
    worker_specs,
)
from mpiapps.dask_cluster.host_process import (
    START_TIMEOUT,
    HostProcess,
    HostProcessDied,
)
from mpiapps.dask_cluster.network import listen_address, scheduler_runs, source_address
from mpiapps.dask_cluster.scheduler_file import (
    DASHBOARD_LINK,
    SCHEDULER_ADDRESS,
    dashboard_link,
)
from mpiapps.dask_cluster.security import TLSCredentials, self_signed
from mpiapps.dask_cluster.settings import check_settings
from mpiapps.launch.interrupter import MainThreadInterrupter, stop_at
from mpiapps.launch.mpi import MPI

if TYPE_CHECKING:
    from distributed import Client

ORDER_TAG, REPORT_TAG = 10, 20  # the tags after each are for large messages
ROOT_CLOSE_SECONDS = 3.0  # of the time to close, reserved for the root's host
IDLE_SECONDS = 0.005  # between polls of a waiting rank


class Cluster:
    """The scheduler and the workers of a communicator. Collective to open and close.

    A context manager; `mpiapps.dask.dask_on_ranks` lists the guarantees.

    Attributes
    ----------
    client : Client or None
        On the root.
    address, dashboard : str
        On the root: the scheduler's address; the dashboard's port, or "" without one.
    credentials : TLSCredentials or None
    summary : dict
        On the root, after the end: the statistics of the run.
    """

    client: Client | None = None
    address = dashboard = ""
    credentials: TLSCredentials | None = None
    _host_process: HostProcess | None = None

    def __init__(
        self,
        comm: Ranks,
        options: ClusterOptions,
        deadline: Deadline | None = None,
    ) -> None:
        comm = communicator(comm)
        self._comm, self._options = comm.Dup(), options
        self.rank, self.summary = comm.rank, dict[str, Any]()
        # mpiexec forwards SIGUSR1 to all ranks, and none may die of it.
        self.deadline = deadline or Deadline().install()
        self._settings = ExitStack()
        self._orders = MessageChannel(self._comm, ORDER_TAG)
        self._reports = MessageChannel(self._comm, REPORT_TAG)
        node = cast(MPI.Intracomm, comm.Split_type(MPI.COMM_TYPE_SHARED))
        is_leader = node.rank == 0
        try:
            self._workers = worker_specs(node, comm, options)
            with raise_together(comm):
                check_memory(self._workers, options)
            self._leaders = [
                rank for rank, leads in enumerate(comm.allgather(is_leader)) if leads
            ]
            leaders = cast(MPI.Intracomm, comm.Split(0 if is_leader else MPI.UNDEFINED))
            with raise_together(comm):  # all leaders raise, or none
                if is_leader:
                    remote = len(self._leaders) > 1 or options.remote_clients
                    host = listen_address(leaders, options.interface, remote=remote)
                    leaders.Free()
            with raise_together(comm):  # last, as ending this process takes long
                self._host_process = HostProcess() if is_leader else None
            if self.rank == ROOT:
                self._start(host)
        except BaseException:
            self._settings.close()
            self._terminate()
            raise
        finally:
            node.Free()

    def _start(self, host: str) -> None:
        """Start scheduler, workers and client. Root only."""
        insecure = self._options.insecure
        credentials = None if insecure else self_signed(self.deadline.remaining())
        order = {
            "credentials": vars(credentials) if credentials else None,
            **self._options.of_hosts(),  # and "scheduler" for the root's
        }
        try:
            assert self._host_process
            scheduler = {
                "host": host,
                "dashboard": self._options.dashboard,
                "restarts": self._options.restarts,
            }
            self._host_process.send({**order, "scheduler": scheduler})
            from mpiapps.dask_cluster.log_levels import set_log_levels

            set_log_levels()
            from distributed import Client  # while the other process imports it, too

            check_settings(self._options.settings)
            answer = self._host_process.recv()
            self.credentials, self.address = credentials, answer["address"]
            self.dashboard = answer["dashboard"]
            for leader in self._leaders[1:]:
                self._orders.isend(leader, (order, self.address))
            self._host_process.start_workers(self.address, host, self._workers)
            reports = self._collect_reports(START_TIMEOUT)
            for error in reports.values():
                if error is not None:
                    raise error
            if missing := set(self._leaders[1:]) - set(reports):
                raise LaunchError(
                    f"the workers on the hosts of ranks {sorted(missing)} did not"
                    f" connect to {self.address} within {START_TIMEOUT:g} s; name the"
                    " network between the hosts by --interface"
                )
            self._connect_client(Client)
        except Exception as error:
            for rank in range(1, self._comm.size):
                self._orders.isend(rank, error)
            self._terminate_together()
            raise

    def _connect_client(self, client: type[Client]) -> None:
        """Connect, and let ``Client()`` in an unchanged script find this cluster."""
        import dask.config

        from mpiapps.dask_cluster.rank_cluster import RankCluster

        settings = dict(self._options.settings)
        settings |= self.credentials.config() if self.credentials else {}
        settings[SCHEDULER_ADDRESS] = self.address
        settings[DASHBOARD_LINK] = dashboard_link(self.dashboard)
        self._settings.enter_context(dask.config.set(settings))
        self.client = client(self.address, timeout=START_TIMEOUT, name="mpiapps")
        self.client.cluster = RankCluster(self.client)

    def __enter__(self) -> Cluster:
        """Return this; on the other ranks after the root has left the block."""
        self._interrupter: AbstractContextManager[object] = nullcontext()
        try:
            if self.rank == ROOT:
                self._interrupter = MainThreadInterrupter(self.failure)
                self._interrupter.__enter__()
            else:
                self._serve()
        except BaseException:
            self._close_all()
            self._terminate()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        """Close client, workers and scheduler, within 10 s."""
        try:
            try:
                self._interrupter.__exit__(None, None, None)
            finally:  # a signal may have arrived just now
                self._close_all()
            if exc[0] is not None:  # the caller's error handling may abort all ranks
                self._terminate()
        except BaseException:
            self._terminate()
            raise
        finally:
            self._settings.close()
        if exc[0] is None:  # else the caller's error handling ends the other ranks
            self._orders.close()
            self._reports.close()
            self._comm.Free()

    def _serve(self) -> None:
        """Run this host's workers until the root closes the cluster. Not the root."""
        while True:
            _, order = self._orders.recv(ROOT, self.raise_failure, IDLE_SECONDS)
            match order:
                case None:
                    if self._host_process:
                        self._host_process.close()
                        self._host_process.terminate()
                        self._reports.isend(ROOT, None)
                    return
                case BaseException():
                    self._terminate_together()
                    raise order
                case first, address:
                    self.address = address
                    self._reports.isend(ROOT, self._start_host(first))

    def _start_host(self, order: dict[str, Any]) -> Exception | None:
        """Start this host's workers; return the error, if any."""
        assert self._host_process
        try:
            self._host_process.send(order)
            self._host_process.recv()
            scheduler = self.address.partition("://")[2].rpartition(":")[0]
            host = source_address(scheduler.strip("[]"))
            self._host_process.start_workers(self.address, host, self._workers)
        except Exception as error:
            return error
        return None

    def check_alive(self) -> None:
        """Raise `HostProcessDied` if Dask's process has ended by itself. Local.

        A script that catches all errors can reach its end without noticing.
        """
        if self.rank == ROOT and self._host_process and self._host_process.has_exited():
            raise HostProcessDied(self._host_process.exit_reason())

    def loss_reason(self) -> str:
        """Return why the client has lost its scheduler; "" if it has not. Root only."""
        assert self.client is not None
        assert self._host_process
        if self.client.status == "running":
            return ""
        if not self._host_process.has_exited() and scheduler_runs(self.address):
            return ""
        return self._host_process.exit_reason()

    def failure(self) -> BaseException | None:
        """Return the error or stop request that ends the run, if any. Local."""
        if self._host_process and self._host_process.has_exited():
            return HostProcessDied(self._host_process.exit_reason())
        stops = self._options.deadline and self.rank == ROOT
        return stop_at(self.deadline)() if stops else None

    def raise_failure(self) -> None:
        """Raise the `failure`, if any. Local."""
        if (error := self.failure()) is not None:
            raise error

    def _close_all(self) -> None:
        """Close the workers of other hosts, then those of this host. On the root."""
        if self.rank != ROOT:
            return
        assert self._host_process
        for rank in range(1, self._comm.size):
            self._orders.isend(rank, None)
        self._collect_reports(self._host_process.remaining() - ROOT_CLOSE_SECONDS)
        self._host_process.send({"end": True})
        if self.client is not None:
            level = logging.root.manager.disable
            logging.disable()  # the client's connections may be closed already
            with suppress(Exception):
                self.client.close(timeout=1)
            logging.disable(level)
        self.summary = self._host_process.close()
        atexit.register(self._host_process.terminate)  # meanwhile MPI is finalized

    def _collect_reports(self, seconds: float) -> dict[int, Any]:
        """Return the reports of the other hosts, by rank. Root only."""
        until, reports = time.monotonic() + seconds, dict[int, Any]()
        while len(reports) < len(self._leaders) - 1 and time.monotonic() < until:
            if (message := self._reports.poll()) is None:
                time.sleep(IDLE_SECONDS / 10)
            else:
                reports.update([message])
        return reports

    def _terminate_together(self) -> None:
        """Terminate the processes of all hosts, so that all ranks raise at one time."""
        self._terminate()
        self._comm.Barrier()

    def _terminate(self) -> None:
        if self._host_process:
            self._host_process.terminate()
