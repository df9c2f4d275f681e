"""Client code for any cluster: print the workers, their hosts, and a sum."""

import json
import socket
import sys
import time

from distributed import Client


def hostname(_):
    time.sleep(0.05)
    return socket.gethostname()


def main(client, workers):
    client.wait_for_workers(workers, timeout=90)
    values = {
        "workers": len(client.nthreads()),
        "hosts": sorted(
            set(client.gather(client.map(hostname, range(60), pure=False)))
        ),
        "sum": sum(client.gather(client.map(abs, range(-50, 50)))),
        "tls": all(address.startswith("tls://") for address in client.nthreads()),
    }
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    with Client() as client:
        main(client, int(sys.argv[1]))
