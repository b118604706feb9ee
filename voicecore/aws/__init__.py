"""AWS access shared by image and cloud: sessions, errors, polling, concurrent tasks."""
