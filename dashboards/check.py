#!/usr/bin/env python3
"""Whether Grafana's own types understand the dashboards: check.py FILE…

Each file is read into the classes of grafana-foundation-sdk and written again. A key that comes back missing or changed is one that
Grafana does not know.
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

# Written by Grafana itself for variables and for annotations from Prometheus, and left out of the published types.
BEYOND_THE_TYPES = {"definition", "titleFormat", "textFormat", "step", "useValueForTime"}


def differences(before, after, place):
    """Paths of what is in `before` and not the same in `after`. Defaults that come in addition are no difference."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from differences(value, after[key], f"{place}.{key}")
            elif key not in BEYOND_THE_TYPES and value not in (None, "", [], {}, False):
                yield f"{place}.{key} is not known"
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{place}: {len(before)} entries became {len(after)}"
        for number, (one, other) in enumerate(zip(before, after)):
            yield from differences(one, other, f"{place}[{number}]")
    elif before != after:
        yield f"{place}: {before!r} became {after!r}"


def main(paths):
    register_default_plugins()
    found = 0
    for path in paths:
        with open(path) as file:
            before = json.load(file)
        after = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(before)))
        for difference in differences(before, after, path):
            print(difference)
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
