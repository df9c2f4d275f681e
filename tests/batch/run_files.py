"""Files of a run, as its job script writes them."""

import json


def write_events(directory, told, cluster=""):
    directory.mkdir(exist_ok=True)
    with (directory / "events.jsonl").open("a") as stream:
        for text in told:
            given = text.split()
            event, code, job, attempt = [*given, *["", "0", "7", "1"][len(given) :]]
            line = {"event": event, "code": int(code), "job": job}
            line |= {"attempt": int(attempt), "cluster": cluster}
            stream.write(json.dumps(line) + "\n")


def finish(directory, code):
    directory.mkdir(exist_ok=True)
    content = {"exit_code": code, "finished": True}
    (directory / "record.json").write_text(json.dumps(content))
