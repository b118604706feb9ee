"""The tests, which need the environment that make creates."""

import sys
from importlib.util import find_spec

if lacking := [name for name in ("pytest", "uv", "typer", "moto") if find_spec(name) is None]:
    sys.exit(
        f"{sys.executable} has no {lacking[0]}, because it is not the Python of make's .venv. "
        "Run:  make test ARGS=PATH"
    )
