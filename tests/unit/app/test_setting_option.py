"""`--set NAME=VALUE` says what it is given, and is written so that it is read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gems.app.setting_option import setting, setting_text
from gems.errors import InputError

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(VALUES)
def test_what_is_written_is_read_back(value):
    assert setting(setting_text("name", value)) == ("name", value)


def test_without_an_equals_sign_the_error_shows_the_form():
    with pytest.raises(InputError, match="NAME=VALUE"):
        setting("votes")
