def infer_contract() -> None:
    """x"""
