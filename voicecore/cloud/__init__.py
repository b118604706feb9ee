"""The agent in AWS: deploys, observes and deletes its stacks."""
