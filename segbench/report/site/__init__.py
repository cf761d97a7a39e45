"""The leaderboard: a folder of pages over benchmarks and methods, from the records of many machines and submissions."""
