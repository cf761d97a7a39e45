"""`segbench schema`: the form of benchmark files, for editors."""

from __future__ import annotations

from pathlib import Path

from .options import Output
from .output import print_or_write, say

# Where the modeline of a benchmark file says that its schema lies: beside it.
SCHEMA_FILE = Path("segbench.schema.json")
# The first line of a benchmark file, by which editors with yaml-language-server find the schema.
MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"


def schema(output: Output = None) -> None:
    """Print the JSON Schema (draft 7) of benchmark files for the plugins that are installed, as editors read it.

    It completes and checks a benchmark file whose first line is

        # yaml-language-server: $schema=segbench.schema.json

    in every editor that uses yaml-language-server, once `segbench schema -o segbench.schema.json` has written it beside
    that file. Write it anew after plugins have changed.
    """
    import json

    from segbench.config.schema import benchmark_schema
    from segbench.registry import load_registry

    made, problems = benchmark_schema(load_registry())
    for problem in problems:
        say(problem, err=True)
    print_or_write(json.dumps(made, indent=1) + "\n", output)
