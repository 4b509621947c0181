#!/bin/sh
# Write requirements.lock: exact versions for every Python from 3.11 on, every system. Needs uv (pip install uv).
# torch pins the CUDA libraries of its own Linux build, so they are left out: a CPU build must not pull them.
set -eu
cd "$(dirname "$0")"
{
	echo '# Made by `make lock`; do not edit. torch itself pins the CUDA libraries that its GPU build needs.'
	echo 'torch==2.13.0' | uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
		--group dev --extra minilm --constraint - pyproject.toml |
		grep -vE '^(nvidia-|cuda-|triton)'
} > requirements.lock.new
mv requirements.lock.new requirements.lock
