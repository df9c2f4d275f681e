"""A script that ends as named by its first argument. It has no __main__ guard."""

import os
import signal
import subprocess
import sys
import threading
import time

from distributed import Client, get_client
from distributed.comm import CommClosedError

CLIENT = get_client()
TASK_SECONDS = float(os.environ.get("TASK_SECONDS", "100"))  # more than a test may take


def double(x):
    return 2 * x


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def fill_memory():
    blocks = []
    while True:
        blocks.append(bytes(bytearray(os.urandom(2**20)) * 20))
        time.sleep(0.01)


def is_killed(task):
    try:
        CLIENT.submit(task).result()
    except Exception as error:
        print(type(error).__name__)


def kill_worker():
    is_killed(kill_self)
    CLIENT.wait_for_workers(int(os.environ["WORKERS"]), timeout=30)
    print(CLIENT.submit(double, 50).result())


def lose_workers():
    kill_worker()
    is_killed(fill_memory)


def detach():
    """Start a command in its own session."""
    subprocess.Popen(["sleep", "1005"], start_new_session=True)


def start_commands():
    CLIENT.submit(detach).result()
    CLIENT.map(subprocess.call, [["sleep", str(1000 + i)] for i in range(5)])
    time.sleep(1)


def kill_scheduler():
    start_commands()
    os.kill(CLIENT.run_on_scheduler(os.getpid), signal.SIGKILL)
    CLIENT.submit(time.sleep, 100).result()


def lose_scheduler():
    os.kill(CLIENT.run_on_scheduler(os.getpid), signal.SIGKILL)
    time.sleep(100)


def swallow_the_loss():
    os.kill(CLIENT.run_on_scheduler(os.getpid), signal.SIGKILL)
    for _ in range(2):
        try:
            CLIENT.submit(double, 1, pure=False).result(timeout=1)
        except Exception as error:
            print("on to the next:", type(error).__name__)


def block_the_scheduler():
    block = threading.Thread(target=CLIENT.run_on_scheduler, args=(time.sleep, 1000))
    block.daemon = True
    block.start()
    time.sleep(1)
    CLIENT.close(timeout=1)  # then the run checks whether the scheduler still runs
    sys.exit(3)


def import_slowly():
    def load():
        time.sleep(3)
        import beside

        return beside.triple(5)

    print(CLIENT.submit(load).result())


def stop():
    import mpiapps.dask

    done = CLIENT.submit(double, 4)

    @mpiapps.dask.on_stop
    def save():
        print("saved", done.result())

    done.result()

    os.kill(os.getpid(), signal.SIGUSR1)
    CLIENT.submit(time.sleep, TASK_SECONDS).result()


def stop_in_block():
    with Client() as client:
        done = client.submit(double, 4)
        done.result()
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            client.submit(time.sleep, 100).result()
        finally:
            print("saved", client.gather(done))


def close_client():
    with get_client():
        sys.exit(3)


def shuffle():
    import dask.dataframe as dd
    import pandas as pd

    frame = dd.from_pandas(pd.DataFrame({"a": range(1000, 0, -1)}), npartitions=4)
    print(frame.set_index("a").npartitions > 0)


def busy():
    CLIENT.map(time.sleep, [1000 + i for i in range(5)])
    time.sleep(0.3)


def second():
    with Client() as other:
        print(other.submit(double, 3).result())


def leave_open():
    sys.modules[__name__].left = Client()
    print(sys.modules[__name__].left.submit(double, 3).result())


def lose_heartbeats():
    def refuse(dask_scheduler):
        def lost(**_):
            raise CommClosedError("as if it closed just now")

        dask_scheduler.handlers["heartbeat_worker"] = lost

    CLIENT.run_on_scheduler(refuse)
    time.sleep(2)  # there are two each second


def go_on():
    """Use the cluster in all ways that do not end the script."""
    shuffle()
    import_slowly()
    second()
    lose_heartbeats()


def restart():
    CLIENT.restart()
    print(len(CLIENT.nthreads()))


def text():
    sys.exit("a text")


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(100)


ENDINGS = {
    "returns": lambda: None,
    "raises": lambda: 1 / 0,
    "exits 0": lambda: sys.exit(0),
    "exits 3": lambda: sys.exit(3),
    "exits text": text,
    "leaves": lambda: os._exit(5),
    "interrupted": lambda: send(signal.SIGINT),
    "terminated": lambda: send(signal.SIGTERM),
    "stopped": stop,
    "stopped in a block": stop_in_block,
    "closes the client": close_client,
    "loses workers": lose_workers,
    "loses the scheduler": lose_scheduler,
    "kills the scheduler": kill_scheduler,
    "swallows the loss": swallow_the_loss,
    "blocks the scheduler": block_the_scheduler,
    "imports slowly": import_slowly,
    "does not end": go_on,
    "is busy": busy,
    "runs commands": start_commands,
    "leaves a client": leave_open,
    "shuts down": CLIENT.shutdown,
    "restarts": restart,
}

print(sum(CLIENT.gather(CLIENT.map(double, range(5)))), sys.argv[2:], flush=True)
ENDINGS[sys.argv[1]]()
