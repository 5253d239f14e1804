"""Errors that are the user's to mend."""

from okd_tf import errors


def test_an_unknown_name_is_answered_with_the_nearest_and_then_all():
    error = errors.unknown("--strategy", "drats", ["random", "darts", "gumbel"])
    assert isinstance(error, errors.UserError)
    assert str(error) == "--strategy: unknown name 'drats'; did you mean darts? valid: darts, gumbel, random"


def test_several_near_names_are_all_named():
    message = str(errors.unknown("--backbone", "resnet1", ["resnet14", "resnet110", "densenet"]))
    suggested = message.split("did you mean ")[1].split("?")[0].split(" or ")
    assert {"resnet14", "resnet110"} <= set(suggested)


def test_a_name_near_to_none_is_answered_with_all():
    assert str(errors.unknown("loss", "xyz", ["b", "a"])) == "loss: unknown name 'xyz'; valid: a, b"


def test_of_many_names_the_first_are_named_and_the_others_counted():
    assert errors.some(["a", "b", "c"]) == "a, b, c"
    assert errors.some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert errors.some(["a", "b"], 1) == "a and 1 more"
