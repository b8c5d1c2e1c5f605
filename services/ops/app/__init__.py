"""Handlers of the operators' functions: for Step Functions, schedules and operators. They translate; others decide."""
