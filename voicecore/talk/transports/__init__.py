"""Clients of the agent, one module per transport; the transport's record names its module.

Each module has `channel_for(setup)`, which returns a factory of channels to the agent.
"""
