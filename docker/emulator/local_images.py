"""Run by LocalStack once it is ready: the functions' images are on this machine, so it must not pull them."""

import json
import os

try:
    from localstack.services.lambda_.invocation import docker_runtime_executor
    from localstack.utils.platform import get_arch  # noqa: F401 (proves that this is the layout we know)

    for image in json.loads(os.environ["LAMBDA_RUNTIME_IMAGE_MAPPING"]).values():
        for platform in ("linux/amd64", "linux/arm64"):
            docker_runtime_executor.PULLED_IMAGES.add((image, platform))
except (ImportError, AttributeError) as error:
    # Another LocalStack: it will try to pull the images, fail, and use the local ones if it may.
    print(f"could not tell LocalStack that the function images are local: {error}")
