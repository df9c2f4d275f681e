"""The order of messages in which the ranks choose pivot rows."""

import pytest

from mpiapps.linalg.lu_panel import reduction_tree


@pytest.mark.parametrize("procs", range(1, 18))
def test_each_process_row_sends_its_candidates_once(procs):
    rows = [3 * i % 5 for i in range(procs)]
    for root in range(procs):
        sent = {
            i: to
            for i in range(procs)
            for to, _, _ in reduction_tree(i, root, rows, 4)
            if to >= 0
        }
        received = {
            source: (i, count)
            for i in range(procs)
            for _, source, count in reduction_tree(i, root, rows, 4)
            if source >= 0
        }
        assert set(sent) == set(received) == set(range(procs)) - {root}
        assert all(received[i][0] == to for i, to in sent.items())
        # Of the ranks below it in the tree, each has sent its rows before.
        below = {i: rows[i] for i in range(procs)}
        for i in sorted(sent, key=lambda i: (i - root) % procs, reverse=True):
            below[sent[i]] += below[i]
            assert received[i][1] == min(4, below[i])
