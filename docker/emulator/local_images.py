"""LocalStack runs this when it is ready. The functions' images are on this machine, so it must not pull them."""

import json
import os

try:
    from localstack.services.lambda_.invocation import docker_runtime_executor
    from localstack.utils.platform import get_arch  # noqa: F401 (fails where LocalStack has another layout)

    for image in json.loads(os.environ["LAMBDA_RUNTIME_IMAGE_MAPPING"]).values():
        for platform in (None, "linux/amd64", "linux/arm64"):  # None: LAMBDA_IGNORE_ARCHITECTURE
            docker_runtime_executor.PULLED_IMAGES.add((image, platform))
except (ImportError, AttributeError) as error:
    # Another version of LocalStack: it tries to pull the images, fails, and uses the local ones if it is allowed to.
    print(f"could not tell LocalStack that the function images are local: {error}")
