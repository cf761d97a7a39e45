"""Networks: how they are built, what they map, what they cost, how they are saved."""
