from gateway.errors import leaves


def test_leaves_are_found_however_deep_groups_are_nested():
    first, second, third = ValueError(1), OSError(2), KeyError(3)
    nested = ExceptionGroup("", [ExceptionGroup("", [first, ExceptionGroup("", [second])]), third])
    assert leaves(nested) == [first, second, third]
