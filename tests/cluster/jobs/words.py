"""Print the arguments and a variable, as received."""

import json
import os
import sys

print(json.dumps([sys.argv[1:], os.environ.get("TEXT")]), flush=True)
