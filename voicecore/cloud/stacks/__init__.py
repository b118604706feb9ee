"""CloudFormation stacks as values: their templates, parameters and tags. Nothing here calls AWS."""
