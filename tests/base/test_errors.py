import pytest

from mpiapps.base import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (ValueError("x"), 1),
        (SystemExit(), 0),
        (SystemExit(3), 3),
        (SystemExit("no"), 1),
        (SystemExit(256 + 5), 5),
        (KeyboardInterrupt(), 130),
        (errors.Terminated(143), 143),
        (errors.UsageError("x"), 2),
        (errors.TasksFailed("x"), 3),
        (errors.CheckFailed("x"), 4),
        (errors.InputError("x"), 65),
        (errors.RankExited("x"), 70),
        (errors.FileAccessError("x"), 74),
        (errors.Checkpointed("x"), 75),
        (errors.Stalled("x"), 76),
        (errors.LaunchError("x"), 78),
    ],
)
def test_exit_codes_are_the_documented_ones(error, code):
    assert errors.exit_code(error) == code
