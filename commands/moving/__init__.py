"""Moving in from the older server: its tables are read, judged row by row, and written as ours."""
