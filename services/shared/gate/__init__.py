"""The quality gate's values and its verdict: what is judged, what was measured, what follows. No Spark, no AWS client.

Whoever measures (Great Expectations on Spark, glue/validate_silver.py) only says numbers. What a number means is
decided here, so a rule that nobody measured can never pass.
"""
