"""A user's crontab: the way in and the way out."""
