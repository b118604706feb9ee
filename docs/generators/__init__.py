"""Generates the reference pages of the site from the code: one module for each subject.

What the code knows (options, keys, codes, events, routes) comes from the code; what each means is
written here, and a difference between the two fails the build.
"""
