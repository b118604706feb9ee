"""Deploy and destroy: plan, preflight checks, CloudFormation, agent and session server."""
