"""From weights to answers: find them, load them unbelieved, run them on files."""
