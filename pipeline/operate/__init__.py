"""What runs around a build: uploads, retention, freshness, commands at the end of a run, metrics."""
