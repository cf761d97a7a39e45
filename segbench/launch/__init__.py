"""Workers started elsewhere: by a command of the user's, in a batch system, or on a cluster of Ray."""
