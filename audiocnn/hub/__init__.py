"""The Hugging Face Hub's client, bounded: datasets and model repositories, from it and to it."""
