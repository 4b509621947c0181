#!/bin/sh
# Write the two locks: exact versions for every Python from 3.11 on, every system. Needs uv (pip install uv).
# requirements.lock is what `make demo` installs; requirements-dev.lock adds what the tests need, the same versions
# otherwise. torch pins the CUDA libraries of its own Linux build, so they are left out: a CPU build must not pull them.
set -eu
cd "$(dirname "$0")"

lock() {
	target=$1
	shift
	{
		echo '# Made by `make lock`; do not edit. torch itself pins the CUDA libraries that its GPU build needs.'
		uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate "$@" pyproject.toml |
			grep -vE '^(nvidia-|cuda-|triton)'
	} > "$target.new"
	mv "$target.new" "$target"
}

torch=$(mktemp)
trap 'rm -f "$torch"' EXIT
echo 'torch==2.13.0' > "$torch"
lock requirements-dev.lock --group dev --extra minilm --extra track --extra openvino --extra onnx --extra explain --extra audit --extra adapters --extra tune --constraint "$torch"
lock requirements.lock --group build --extra minilm --constraint requirements-dev.lock
