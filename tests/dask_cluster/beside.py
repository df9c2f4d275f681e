"""A module beside the user's script."""


def triple(x):
    return 3 * x
