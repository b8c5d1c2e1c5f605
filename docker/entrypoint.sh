#!/bin/sh
# In Lambda (and LocalStack) the runtime API is there; anywhere else the runtime interface emulator stands in for it.
set -eu
if [ -z "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    if ! command -v aws-lambda-rie >/dev/null; then
        echo "AWS_LAMBDA_RUNTIME_API is not set and this image carries no emulator: build the *-local target" >&2
        exit 64
    fi
    exec aws-lambda-rie python3 -m awslambdaric "$@"
fi
exec python3 -m awslambdaric "$@"
