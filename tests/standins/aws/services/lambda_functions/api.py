"""Owns Lambda functions of container images: the operations by name.

It covers what a public function URL needs: images in ECR, resource policies (both statements that
such URLs need since October 2025), states, and the Runtime API to real processes.
"""

from __future__ import annotations

from tests.standins.aws.cloud import Cloud
from tests.standins.aws.services.lambda_functions.concurrency import (
    account_settings,
    delete_concurrency,
    put_concurrency,
)
from tests.standins.aws.services.lambda_functions.functions import (
    _stop,
    create,
    delete,
    get,
    get_configuration,
    list_tags,
    tag,
    untag,
    update_code,
    update_configuration,
)
from tests.standins.aws.services.lambda_functions.invocation import invoke
from tests.standins.aws.services.lambda_functions.permissions import (
    add_permission,
    get_policy,
    remove_permission,
)
from tests.standins.aws.services.lambda_functions.urls import (
    create_url,
    delete_url,
    get_url,
    update_url,
)


def close(cloud: Cloud) -> None:
    """Stop all functions."""
    for _, functions in cloud.all_of("functions"):
        for function in functions.values():
            _stop(function)


HANDLERS = {
    ("lambda", "CreateFunction"): create,
    ("lambda", "UpdateFunctionCode"): update_code,
    ("lambda", "UpdateFunctionConfiguration"): update_configuration,
    ("lambda", "PutFunctionConcurrency"): put_concurrency,
    ("lambda", "DeleteFunctionConcurrency"): delete_concurrency,
    ("lambda", "GetAccountSettings"): account_settings,
    ("lambda", "GetFunction"): get,
    ("lambda", "GetFunctionConfiguration"): get_configuration,
    ("lambda", "DeleteFunction"): delete,
    ("lambda", "CreateFunctionUrlConfig"): create_url,
    ("lambda", "GetFunctionUrlConfig"): get_url,
    ("lambda", "UpdateFunctionUrlConfig"): update_url,
    ("lambda", "DeleteFunctionUrlConfig"): delete_url,
    ("lambda", "AddPermission"): add_permission,
    ("lambda", "RemovePermission"): remove_permission,
    ("lambda", "GetPolicy"): get_policy,
    ("lambda", "TagResource"): tag,
    ("lambda", "UntagResource"): untag,
    ("lambda", "ListTags"): list_tags,
    ("lambda", "Invoke"): invoke,
}
