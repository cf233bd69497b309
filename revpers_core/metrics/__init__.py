"""What an audit measures, one metric a file."""
