"""What each verb does, without a word about how it was asked for or how it is shown."""
