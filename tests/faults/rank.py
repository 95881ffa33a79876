"""One worker under torchrun: runs nsdata, with a hook if its rank is the one that FAULTS_RANK names.

The others then work slowly, so that the one comes to the step at which it is to end.
"""

from __future__ import annotations

import json
import os
import sys

if __name__ == "__main__":
    from faults import steps
    from faults.server import command

    mine = os.environ.get("RANK") == os.environ.get("FAULTS_RANK")
    spy = {"spy": os.environ["FAULTS_SPY"]} if "FAULTS_SPY" in os.environ else {}
    steps.install({**spy, **(json.loads(os.environ["FAULTS_HOOK"]) if mine else {})})
    if "FAULTS_RANK" in os.environ and not mine:
        steps.slow(0.5)
    sys.exit(command(sys.argv[1:]))
