"""The arena: scripts from outside train in a sandbox and predict held-out text that they never hold.

Start at `trial.run_trial`: it puts an entry through both phases. `igla-predict/1` is told in docs/igla-predict.md.
"""
