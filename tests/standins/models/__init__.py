"""Stand-ins for the AWS models that a voice agent uses, for tests without an AWS account.

`serve` starts them all; `Reach` runs a program that reaches them under AWS's own host names.
"""

from tests.standins.models.lab import Models as Models
from tests.standins.models.lab import serve as serve
from tests.standins.models.reach import Reach as Reach
from tests.standins.models.script import Script as Script
from tests.standins.models.script import Turn as Turn
