"""``python -m nsdata`` is ``nsdata``, also where the script is not on the PATH. It alone looks up, to the command."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    if not sys.flags.safe_path:  # -m puts the working folder first: a person's own cli.py would be taken for ours
        sys.path[0] = str(Path(__file__).parents[1])
    from cli.start import main

    main()
