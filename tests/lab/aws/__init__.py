"""A stand-in of AWS for tests without an account: boto3 speaks to it over HTTP.

`aws_standin` starts it; README.md says what is imitated, what is refused, and what is not there.
"""

from tests.lab.aws.clock import NONE as NONE
from tests.lab.aws.clock import REAL as REAL
from tests.lab.aws.clock import Durations as Durations
from tests.lab.aws.lab import Aws as Aws
from tests.lab.aws.lab import aws_standin as aws_standin
from tests.lab.aws.video import Turn as Turn
from tests.lab.aws.world import Caller as Caller
