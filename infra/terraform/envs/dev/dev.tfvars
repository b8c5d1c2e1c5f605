# The development environment. Every variable, its meaning and its default: variables.tf; toggles and their cost: ../../README.md.
project = "smelt-dev"
region  = "us-east-2"

# The only account that this may be applied to. Set it: credentials of another account are refused then.
account_id = ""

# Restricted accounts: role names that are allowed, and whether IAM roles and SQS queues may be tagged.
iam_name_prefix = ""
tag_iam_and_sqs = false

# Who may send units and dead letters besides the functions: roles of the people who redrive (docs/observability.md).
operator_principal_arns = []

# Alarms and dashboard (needs cloudwatch:PutMetricAlarm, cloudwatch:PutDashboard).
observability_enabled        = false
alarm_notification_topic_arn = "" # empty: a topic is created, subscribe to output alarm_topic_arn

# A development ledger may be destroyed; leave this out in production.
ledger_deletion_protection = false

# The operators' functions: the workflow that replays and checks (docs/workflow.md), and the scheduled sweep, archive, reconcile.
ops_enabled     = false
ops_workflow_id = "ops-replay-and-quality-gate"

# The workflow on a schedule; ops_schedule_input says what it replays.
ops_schedule_enabled    = false
ops_schedule_expression = "rate(1 day)"

# Tables in Glue for Athena, the documented queries, a crawler (docs/data-guide.md).
glue_enabled       = false
glue_silver_prefix = "silver/"
glue_table_prefix  = "silver_"
