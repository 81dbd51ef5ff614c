"""Work on many cases: processes, the window of cases in flight, time and memory limits, resume."""
