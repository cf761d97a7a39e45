"""Workers started elsewhere: by a command of the user's, or in a batch system."""
