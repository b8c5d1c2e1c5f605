#!/usr/bin/env python3
"""Creates the pipeline's queues where Terraform may not, and writes their names for it. Safe to repeat.

python scripts/create_sqs_queue.py --name smelt-dev-events --with-dlq --region us-east-2 \
  --out infra/terraform/envs/dev/queue.auto.tfvars.json
"""

from _environment import enter

if __name__ == "__main__":
    enter()
    from infra.deploy.cli.queues import create_queues
    from services.ops.cli.console import run

    run(create_queues)
