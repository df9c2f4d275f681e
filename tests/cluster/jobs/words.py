"""What arrived: the arguments, byte for byte."""

import json
import os
import sys

print(json.dumps([sys.argv[1:], os.environ.get("TOLD")]), flush=True)
