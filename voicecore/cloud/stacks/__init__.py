"""CloudFormation stacks as values: pure functions from a deployment to a template."""
