from histodistill.gate.unique_keys import UniqueKeyLoader


def repeated(text: str) -> list[str]:
    loader = UniqueKeyLoader(text)
    loader.get_single_data()
    return loader.repeated


def test_keys_that_stand_twice_are_named_with_their_lines():
    text = "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n"
    assert repeated(text) == [
        "`c` stands twice in one mapping, in line 3 and in line 5; keep one",
        "`a` stands twice in one mapping, in line 1 and in line 6; keep one",
    ]
    assert len(repeated("{a: 1, a: 1}")) == 1


def test_the_same_key_in_two_mappings_or_over_a_merged_one_is_right():
    assert repeated("x: {a: 1}\ny: {a: 1}\n") == []
    text = "x: &x {a: 1}\ny: &y {<<: *x, a: 2}\nz: {<<: *y, a: 3, b: 4}\n"
    assert repeated(text) == []
    assert UniqueKeyLoader(text).get_single_data()["z"] == {"a": 3, "b": 4}
