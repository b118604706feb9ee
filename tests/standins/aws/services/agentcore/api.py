"""Owns AgentCore's control plane: its operations by name.

Rules and limits are from the AgentCore API Reference and Developer Guide (runtime-*, agentcore-vpc,
bedrock-agentcore-limits), autumn 2026. Error messages are AWS's where users quoted them.
"""

from __future__ import annotations

from tests.standins.aws.services.agentcore.endpoints import (
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    update_endpoint,
)
from tests.standins.aws.services.agentcore.runtimes import (
    create,
    delete,
    get,
    invoke,
    list_all,
    list_versions,
    stop_session,
    update,
)
from tests.standins.aws.services.agentcore.state import DATA, SERVICE
from tests.standins.aws.services.agentcore.tags import list_tags, tag, untag

HANDLERS = {
    (DATA, "InvokeAgentRuntime"): invoke,
    (DATA, "StopRuntimeSession"): stop_session,
    (SERVICE, "CreateAgentRuntime"): create,
    (SERVICE, "UpdateAgentRuntime"): update,
    (SERVICE, "GetAgentRuntime"): get,
    (SERVICE, "DeleteAgentRuntime"): delete,
    (SERVICE, "ListAgentRuntimes"): list_all,
    (SERVICE, "ListAgentRuntimeVersions"): list_versions,
    (SERVICE, "CreateAgentRuntimeEndpoint"): create_endpoint,
    (SERVICE, "UpdateAgentRuntimeEndpoint"): update_endpoint,
    (SERVICE, "GetAgentRuntimeEndpoint"): get_endpoint,
    (SERVICE, "DeleteAgentRuntimeEndpoint"): delete_endpoint,
    (SERVICE, "ListAgentRuntimeEndpoints"): list_endpoints,
    (SERVICE, "TagResource"): tag,
    (SERVICE, "UntagResource"): untag,
    (SERVICE, "ListTagsForResource"): list_tags,
}
