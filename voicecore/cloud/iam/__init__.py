"""IAM policies: for the roles that the stacks create, and for the deploying identity."""
