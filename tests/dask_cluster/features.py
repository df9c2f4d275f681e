"""What users of distributed's client rely on, as functions of a client.

Prints one line of JSON: for each function its traceback, or an empty text.
"""

import json
import operator
import time
import traceback

from distributed import (
    Client,
    Event,
    Lock,
    Queue,
    Variable,
    as_completed,
    fire_and_forget,
    get_client,
    get_worker,
    secede,
    wait,
    worker_client,
)

LIMIT = 30  # s


def refuse(value):
    raise ZeroDivisionError(f"refused {value}")


def submit_takes_futures_and_keywords(client):
    one = client.submit(operator.add, 1, 2)
    both = client.submit(dict, a=one, b=[one, 4])
    assert both.result() == {"a": 3, "b": [3, 4]}


def map_keeps_the_order_of_several_iterables(client):
    futures = client.map(pow, range(5), [2] * 5)
    assert client.gather(futures) == [0, 1, 4, 9, 16]


def equal_calls_share_a_key_unless_impure(client):
    pure = [client.submit(abs, -5) for _ in range(2)]
    impure = [client.submit(abs, -5, pure=False) for _ in range(2)]
    assert pure[0].key == pure[1].key
    assert impure[0].key != impure[1].key


def an_error_is_raised_with_its_type_where_it_is_asked_for(client):
    future = client.submit(refuse, 7)
    dependent = client.submit(abs, future)
    errors = [failed.exception() for failed in (future, dependent)]
    assert [str(error) for error in errors] == ["refused 7"] * 2
    raised = []
    try:
        dependent.result()
    except ZeroDivisionError as error:
        raised.append(error)
    assert raised
    assert future.status == dependent.status == "error"
    assert isinstance(future.exception(), ZeroDivisionError)


def gather_can_skip_errors(client):
    futures = [client.submit(abs, -1), client.submit(refuse, 1)]
    assert client.gather(futures, errors="skip") == [1]


def retries_run_a_failed_task_again(client):
    count = Variable("attempts", client=client)
    count.set(0)

    def second_time():
        attempts = Variable("attempts")
        attempts.set(attempts.get() + 1)
        return 1 / (attempts.get() - 1)

    assert client.submit(second_time, retries=1, pure=False).result() == 1


def a_cancelled_future_is_cancelled(client):
    event = Event("never", client=client)
    future = client.submit(lambda: Event("never").wait(LIMIT), pure=False)
    client.cancel(future)
    event.set()
    assert future.cancelled()


def as_completed_yields_results_and_takes_more(client):
    sequence = as_completed(client.map(abs, range(3)), with_results=True)
    seen = []
    for _, result in sequence:
        seen.append(result)
        if len(seen) == 1:
            sequence.add(client.submit(abs, -9))
    assert sorted(seen) == [0, 1, 2, 9]


def wait_returns_when_the_first_is_done(client):
    event = Event("go", client=client)
    late = client.submit(lambda: Event("go").wait(LIMIT), pure=False)
    done, pending = wait(
        [client.submit(abs, -2), late], return_when="FIRST_COMPLETED", timeout=LIMIT
    )
    assert (len(done), pending) == (1, {late})
    event.set()
    assert late.result()


def scattered_data_can_be_on_every_worker(client):
    future = client.scatter(b"data", broadcast=True)
    assert future.result() == b"data"
    [holders] = client.who_has([future]).values()
    assert len(holders) == len(client.nthreads())


def a_result_stays_on_its_worker_until_it_is_released(client):
    future = client.submit(bytes, 1000, pure=False)
    wait(future)
    key = future.key
    assert client.who_has([future])[key]
    del future
    end = time.monotonic() + LIMIT
    while client.run_on_scheduler(has_task, key):
        assert time.monotonic() < end
        time.sleep(0.02)


def has_task(key, dask_scheduler=None):
    return key in dask_scheduler.tasks


def tasks_run_on_the_named_worker(client):
    names = sorted(w["name"] for w in client.scheduler_info()["workers"].values())
    for name in names:
        run = client.submit(lambda: get_worker().name, workers=[name], pure=False)
        assert run.result() == name


def priorities_and_keys_are_accepted(client):
    assert client.submit(abs, -1, priority=10, key="mine").key == "mine"


def tasks_submit_tasks(client):
    def both():
        with worker_client() as inner:
            return sum(inner.gather(inner.map(abs, [-1, -2, -3])))

    def seceding():
        inner = get_client()
        future = inner.submit(abs, -8)
        secede()
        return future.result()

    assert client.submit(both).result() == 6
    assert client.submit(seceding).result() == 8


def locks_exclude_each_other(client):
    total = Variable("total", client=client)
    total.set(0)

    def add(_):
        with Lock("total"):
            value = Variable("total")
            value.set(value.get() + 1)

    client.gather(client.map(add, range(6)))
    assert total.get() == 6


def queues_carry_futures_between_clients(client):
    queue = Queue("work", client=client)
    queue.put(client.submit(abs, -4))
    with Client(client.scheduler.address, set_as_default=False) as other:
        assert Queue("work", client=other).get(timeout=LIMIT).result() == 4


def datasets_outlive_their_client(client):
    with Client(client.scheduler.address, set_as_default=False) as other:
        other.publish_dataset(numbers=other.scatter(b"data"))
    assert client.get_dataset("numbers").result() == b"data"
    client.unpublish_dataset("numbers")


def forgotten_tasks_run(client):
    def notify():
        Event("ran").set()

    fire_and_forget(client.submit(notify, pure=False))
    assert Event("ran", client=client).wait(LIMIT)


def collections_compute_and_persist(client):
    import dask
    import dask.array as da
    import dask.bag as db

    array = client.persist(da.arange(100, chunks=10))
    assert client.compute(array.sum()).result() == 4950
    assert (
        db.from_sequence(range(9), npartitions=3)
        .filter(lambda x: x % 2)
        .sum()
        .compute()
        == 16
    )
    assert dask.delayed(sum)([dask.delayed(abs)(-1), 2]).compute() == 3


def executors_are_those_of_concurrent_futures(client):
    with client.get_executor() as executor:
        assert executor.submit(pow, 2, 5).result() == 32
        assert list(executor.map(abs, [-1, -2])) == [1, 2]


def files_are_sent_to_workers(client):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "uploaded_module.py"
        file.write_text("VALUE = 11\n")
        client.upload_file(str(file))

    def use():
        import uploaded_module

        return uploaded_module.VALUE

    assert set(client.run(use).values()) == {11}


def results_are_the_same_after_a_restart(client):
    client.restart()
    assert client.submit(abs, -6).result() == 6


FEATURES = {
    name: function
    for name, function in list(vars().items())
    if getattr(function, "__code__", None) is not None
    and function.__module__ == __name__
    and function.__code__.co_varnames[:1] == ("client",)
}


def main():
    found = {}
    with Client() as client:
        for name, function in FEATURES.items():
            try:
                function(client)
                found[name] = ""
            except BaseException:
                found[name] = traceback.format_exc()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
