"""Settle what AWS's documents leave open, in an account, once.

    AWS_REGION=us-east-1 python -m tests.aws.settle

takes at most 15 minutes and some cents, and deletes what it created, also after Ctrl-C or a
failure. Each doubt is one function, which returns what AWS did. The table and its Markdown and JSON
are the source for correcting tests/standins/aws/README.md: a row that differs names what the
stand-in does.
"""
