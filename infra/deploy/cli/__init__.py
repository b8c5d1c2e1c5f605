"""The commands of infra.deploy: one file for each. They print; they decide nothing."""
