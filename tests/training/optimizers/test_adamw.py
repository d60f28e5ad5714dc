from tests.optimizing import adam


def test_it_follows_the_equations_of_adamw(follows):
    def rule(decay):
        return lambda *given: adam(*given, betas=(0.8, 0.9), decay=decay)

    options = {"lr": 0.05, "weight_decay": 0.1, "beta1": 0.8, "beta2": 0.9}
    follows("adamw", matrices=rule(0.1), dense=rule(0.0), **options)
