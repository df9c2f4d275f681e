"""docs/record.schema.json describes the records of real runs."""

import json

import pytest

from tests.commands import ROOT, on_ranks

jsonschema = pytest.importorskip("jsonschema")
pytestmark = pytest.mark.usefixtures("preloaded")
SCHEMA = json.loads((ROOT / "docs/record.schema.json").read_text())
PROGRAMS = {
    "amdahl": ["--work", "0.01"],
    "pi": ["--samples", "1e5"],
}


def errors(record):
    found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(record)
    return [error.json_path for error in found]


@pytest.fixture(scope="module", params=PROGRAMS)
def record(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "record.json"
    words = ["-m", f"mpiapps.{request.param}", *PROGRAMS[request.param]]
    ended = on_ranks("openmpi", 2, *words, "--json", str(path))
    assert ended.code == 0, ended.err
    return json.loads(path.read_text())


def test_records_have_the_schema(record):
    assert errors(record) == []


def test_all_keys_of_a_record_are_described(record):
    part = SCHEMA["properties"]
    assert record.keys() == part.keys()
    assert record["usage"].keys() == part["usage"]["properties"].keys()
    (rank, *_) = record["usage"]["ranks"]
    assert (
        rank.keys()
        == part["usage"]["properties"]["ranks"]["items"]["properties"].keys()
    )


def test_a_record_that_lacks_a_key_or_has_a_wrong_value_is_refused(record):
    assert errors({**record, "finished": False}) == ["$.finished"]
    assert errors({**record, "exit_code": 256}) == ["$.exit_code"]
    del record["usage"]["peak_memory"]
    assert errors(record) == ["$.usage"]
