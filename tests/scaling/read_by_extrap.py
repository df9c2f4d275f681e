"""Print the models that Extra-P fits to a file of JSON Lines, as JSON by call path.

Runs in an environment of its own, since extrap needs NumPy 1: `make test-extrap`.
"""

import json
import sys

from extrap.fileio.file_reader.json_file_reader import JsonFileReader
from extrap.modelers.model_generator import ModelGenerator

generator = ModelGenerator(JsonFileReader().read_experiment(sys.argv[1]))
generator.model_all()
models = {}
for (path, _metric), model in generator.models.items():
    function = model.hypothesis.function
    models[path.name] = {
        "constant": function.constant_coefficient,
        "terms": [
            {
                "coefficient": term.coefficient,
                "factors": [[s.term_type, str(s.exponent)] for s in term.simple_terms],
            }
            for term in function.compound_terms
        ],
    }
print(json.dumps(models))
