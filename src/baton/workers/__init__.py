"""Workers: classes and functions, their options, arguments and names."""
