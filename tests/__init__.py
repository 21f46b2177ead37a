"""Tests: each is named after what the user is promised."""
