"""From records to rankings: rows, groups, intervals, tiers, differences, timings."""
