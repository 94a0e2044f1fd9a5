"""What optlab costs beside the bare computation and beside other ways to do the same; CPU seconds first.

`python -m benchmarks` measures all, `python -m benchmarks.sweep` one part. Machines are shared and load
comes and goes, so CPU seconds (user and system, child processes included) are what is judged; wall
times are shown beside them.
"""
