"""The command ``revpers``, a file a verb."""
