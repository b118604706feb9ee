"""AWS access for image and cloud: sessions, errors, polling and task groups."""
