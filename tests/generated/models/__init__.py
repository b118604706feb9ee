"""Conversations of generated agents, unmodified, with fakes of the AWS models."""
