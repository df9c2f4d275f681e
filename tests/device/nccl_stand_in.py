"""A stand-in for ``cupy.cuda.nccl`` over messages of MPI.

As in NCCL, a call is queued in the stream, and a pair of send and receive in a group
cannot deadlock. Each call runs with the queue, so an earlier kernel is seen.
"""

import ctypes
import struct
from itertools import count

import numpy as np

from mpiapps.launch.mpi import MPI

ID_BYTES = 128
TAGS = count(1000)


class Nccl:
    """The module.

    Attributes
    ----------
    available : bool
    """

    NCCL_UINT8 = 1

    def __init__(self, module, *, available=True):
        self.module, self.available = module, available
        self.group = None

    def get_unique_id(self):
        identity = struct.pack("ii", MPI.COMM_WORLD.rank, next(TAGS))
        return identity.ljust(ID_BYTES, b"\0")

    def NcclCommunicator(self, size, identity, rank):  # noqa: N802 - NCCL's name
        return NcclCommunicator(self, size, identity, rank)

    def groupStart(self):  # noqa: N802 - NCCL's name
        assert self.group is None
        self.group = []

    def groupEnd(self):  # noqa: N802 - NCCL's name
        self.module.drain()
        MPI.Request.Waitall([start() for start in self.group])
        self.group = None

    def run(self, start):
        """Start a message, now or with its group."""
        if self.group is not None:
            self.group.append(start)
        else:
            self.module.drain()
            start().Wait()


class NcclCommunicator:
    def __init__(self, nccl, size, identity, rank):
        assert type(identity) is bytes
        assert len(identity) == ID_BYTES
        self.nccl, self.rank = nccl, rank
        root, self.tag = struct.unpack("ii", identity[:8])
        world = MPI.COMM_WORLD
        if rank == 0:
            members = [root] * size
            for _ in range(size - 1):
                other, place = world.recv(tag=self.tag)
                members[place] = other
            for other in members[1:]:
                world.send(members, other, tag=self.tag)
        else:
            world.send((world.rank, rank), root, tag=self.tag)
            members = world.recv(source=root, tag=self.tag)
        self.members = members

    def broadcast(self, *arguments):
        source, target, size, dtype, root, stream = arguments
        assert (source, dtype) == (target, Nccl.NCCL_UINT8)
        for other in range(len(self.members)):
            if self.rank == root and other != root:
                self.send(source, size, dtype, other, stream)
            elif self.rank == other != root:
                self.recv(target, size, dtype, root, stream)

    def send(self, source, size, _dtype, peer, _stream):
        data, dest = _bytes(source, size), self.members[peer]
        self.nccl.run(lambda: MPI.COMM_WORLD.Isend(data, dest, tag=self.tag))

    def recv(self, target, size, _dtype, peer, _stream):
        data, source = _bytes(target, size), self.members[peer]
        self.nccl.run(lambda: MPI.COMM_WORLD.Irecv(data, source, tag=self.tag))


def _bytes(address, size):
    return np.frombuffer((ctypes.c_char * size).from_address(address), np.uint8)
