"""A stand-in of AWS for tests without an account: boto3 calls it over HTTP.

`aws_standin` starts it; README.md lists what it imitates, what it rejects, and what it lacks.
"""

from tests.standins.aws.clock import NONE as NONE
from tests.standins.aws.clock import REAL as REAL
from tests.standins.aws.clock import Durations as Durations
from tests.standins.aws.cloud import Caller as Caller
from tests.standins.aws.services.kvs import Turn as Turn
from tests.standins.aws.standin import Aws as Aws
from tests.standins.aws.standin import aws_standin as aws_standin
