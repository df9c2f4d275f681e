"""When a farm ends before all its tasks: ``--halt`` with the syntax of GNU parallel."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Short forms, from the manual of GNU parallel.
SHORT = {
    "0": "never",
    "1": "soon,fail=1",
    "2": "now,fail=1",
    "-1": "soon,success=1",
    "-2": "now,success=1",
}
FORMAT = re.compile(r"(soon|now),(fail|success|done)=(\d{1,9})(%?)", re.ASCII)


@dataclass(frozen=True)
class Halt:
    """The condition under which no further task starts.

    Attributes
    ----------
    when : {"never", "soon", "now"}
        Whether running tasks are waited for (soon) or terminated (now).
    why : {"fail", "success", "done"}
        What is counted: failed tasks, successful ones, or both.
    limit : int
        Number, or percentage of all tasks, at which the farm ends.
    percent : bool
        Whether `limit` is a percentage.
    """

    when: str = "never"
    why: str = "done"
    limit: int = 1
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Halt:
        """Return the condition that `text` states; raise `ValueError` if it does not.

        ``never``, ``soon,fail=3``, ``now,success=1``, ``soon,done=10%``; ``10%`` is
        ``soon,fail=10%``, and `SHORT` has the numbers.
        """
        text = SHORT.get(text, text)
        if text == "never":
            return cls()
        if re.fullmatch(r"\d+%", text, re.ASCII):
            text = f"soon,fail={text}"
        match = FORMAT.fullmatch(text)
        limit = int(match[3]) if match else 0
        if not match or not limit or (match[4] and limit > 100):
            raise ValueError(
                f"--halt {text!r} is not never, or soon or now, a comma and fail,"
                " success or done=N or =P%, such as soon,fail=3; N is at least 1, P at"
                " most 100"
            )
        return cls(match[1], match[2], limit, bool(match[4]))

    def is_reached(self, *, done: int, failed: int, total: int) -> bool:
        """Return whether no further task starts, by the numbers of tasks."""
        count = {"success": done, "fail": failed, "done": done + failed}[self.why]
        limit = self.limit * total / 100 if self.percent else self.limit
        return self.when != "never" and count >= limit
