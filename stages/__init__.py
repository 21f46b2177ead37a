"""One thin script a DVC stage: read the configuration, call the library, write the outs."""
