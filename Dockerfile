# The two commands in a container. Its RUN lines are run by tests/project/test_container.py; the image itself is untested.
#   docker build -t audiocnn . && docker run --rm -it audiocnn
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /audiocnn
# What decides the environment comes first: a change of code installs nothing again.
COPY Makefile install.py pyproject.toml constraints.txt README.md ./
COPY audiocnn/__init__.py audiocnn/
RUN make environment
COPY . .
# DVC asks for a repository, and .dockerignore leaves this one's history out.
RUN test -e .git || git init -q
CMD ["make", "repro"]
