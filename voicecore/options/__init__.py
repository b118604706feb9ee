"""The options of each command, and its help: one dataclass per command.

`voicecore COMMAND --help` is built from the dataclass: its docstring, and the `Option` or
`Argument` that annotates each field. `voicecore --help` imports them all, so no module here
imports anything that takes time, and no dataclass has a repr or comparison, which take time to
generate. None has `from __future__ import annotations`: the annotations are read at run time.
"""
