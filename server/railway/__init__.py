"""Railway: worker fleets as data, plans as pure functions, and a thin client that carries them out.

Read `plan` for what would be done, `apply` for how it is done, `operations` for every text that is sent.
"""
