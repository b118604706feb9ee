"""Stand-ins for the AWS models a voice agent speaks to, for tests that have no AWS account.

`serve` starts them all; `Reach` runs a program so that AWS's own host names lead to them.
"""

from tests.standins.models.lab import Models as Models
from tests.standins.models.lab import serve as serve
from tests.standins.models.reach import Reach as Reach
from tests.standins.models.script import Script as Script
from tests.standins.models.script import Turn as Turn
