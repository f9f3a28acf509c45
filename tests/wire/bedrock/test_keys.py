"""Keys of AWS as one sealed text."""

import pytest

from setpoint.wire.aws_keys import AwsKeys, read_aws_keys, write_aws_keys


@pytest.mark.parametrize("keys", [AwsKeys("AKID", "se/cr+et"), AwsKeys("AKID", "s", "t==")])
def test_what_is_written_is_read(keys: AwsKeys) -> None:
    assert read_aws_keys(write_aws_keys(keys)) == keys


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a JSON object"),
        ("ABSK-a-bedrock-api-key", "not a JSON object"),
        ('{"access_key":"a"}', "not a JSON object"),
        ('{"access_key":"a","secret_key":""}', "secret_key is empty"),
        ('{"access_key":"a","secret_key":"b","session_token":""}', "session_token is empty"),
        ('{"access_key":"a\\nx: y","secret_key":"b"}', "access_key is empty, or holds"),
        ('{"access_key":"a","secret_key":"top-secret "}', "secret_key is empty, or holds"),
        ('{"access_key":"ä","secret_key":"b"}', "access_key is empty, or holds"),
    ],
)
def test_what_is_no_key_is_refused_in_words_that_show_nothing_of_it(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read_aws_keys(text)
    assert "top-secret" not in str(caught.value)


def test_keys_do_not_show_themselves() -> None:
    assert "secret" not in repr(AwsKeys("a", "secret", "secret"))
