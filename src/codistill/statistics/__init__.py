"""How far chance reaches: pure functions of numbers, one idea to a file."""
