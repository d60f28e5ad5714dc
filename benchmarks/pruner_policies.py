"""The pruners that are replayed: ours, and those of Optuna, Ray Tune and Syne Tune where they are installed.

Optuna and Ray are in the extra `bench`. Syne Tune pins an older numpy, so it takes an environment of its own.
"""

import importlib.util
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.pruner_replay import Policy
from training.foresight import Settings
from training.race_of_runs import RaceOfRuns


def race_aware(settings: Settings | None = None) -> Callable[[int, str, int], Policy]:
    """Our pruner with these settings."""
    return lambda points, race, repetition: RaceAware(points, settings)


class RaceAware(Policy):
    """`RaceOfRuns` behind the protocol."""

    def __init__(self, points: int, settings: Settings | None) -> None:
        self.race, self.ideas = RaceOfRuns(points, settings=settings), True

    def report(self, run: int, point: int, value: float) -> str:
        """Pause, stop or go on as advised."""
        self.race.observe(run, value)
        action = self.race.advise(run, ideas=self.ideas).action
        if action == "pause":
            self.race.pause(run)
        return action if action in ("pause", "stop") else "go"

    def complete(self, run: int, value: float) -> None:
        """The last value."""
        self.race.observe(run, value)

    def next(self, can_new: bool) -> tuple[Any, ...] | None:
        """A waiting run or a new one."""
        self.ideas = can_new
        run = self.race.next(ideas=can_new)
        if run is None:
            return ("new",) if can_new else None
        self.race.resume(run)
        return ("resume", run)


class OptunaPolicy(Policy):
    """A pruner of Optuna."""

    def __init__(self, points: int, race: str, repetition: int, make: Any) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.states, self.points, self.trials = optuna.trial.TrialState, points, {}
        name, sampler = f"{race}-{repetition}", optuna.samplers.RandomSampler(seed=0)
        self.study = optuna.create_study(study_name=name, sampler=sampler, pruner=make(optuna.pruners, points))

    def start(self, run: int) -> None:
        """A trial."""
        self.trials[run] = self.study.ask()

    def report(self, run: int, point: int, value: float) -> str:
        """Its judgement."""
        self.trials[run].report(value, point)
        if not self.trials[run].should_prune():
            return "go"
        self.study.tell(self.trials[run], state=self.states.PRUNED)
        return "stop"

    def complete(self, run: int, value: float) -> None:
        """The last value."""
        self.trials[run].report(value, self.points)
        self.study.tell(self.trials[run], value)


class RayTrial:
    """What Ray's schedulers ask of a trial."""

    def __init__(self, run: int) -> None:
        self.trial_id = str(run)


class RayController:
    """What Ray's schedulers ask of their controller."""

    def get_live_trials(self) -> list[Any]:
        """They only wake paused trials by it; none is paused."""
        return []


class RayPolicy(Policy):
    """A scheduler of Ray Tune."""

    def __init__(self, points: int, make: Any) -> None:
        from ray.tune import schedulers

        self.scheduler, self.controller, self.trials = make(schedulers, points), RayController(), {}
        self.points = points

    def start(self, run: int) -> None:
        """A trial."""
        self.trials[run] = RayTrial(run)
        self.scheduler.on_trial_add(self.controller, self.trials[run])

    def report(self, run: int, point: int, value: float) -> str:
        """Its judgement."""
        result = {"point": point, "y": value, "training_iteration": point}
        answer = self.scheduler.on_trial_result(self.controller, self.trials[run], result)
        return "stop" if answer == "STOP" else "go"

    def complete(self, run: int, value: float) -> None:
        """The last value."""
        result = {"point": self.points, "y": value, "training_iteration": self.points}
        self.scheduler.on_trial_complete(self.controller, self.trials[run], result)


class SynePolicy(Policy):
    """Asynchronous successive halving of Syne Tune 0.14 with promotion: it pauses and resumes."""

    def __init__(self, points: int, repetition: int) -> None:
        import datetime

        from syne_tune.backend.trial_status import Trial
        from syne_tune.config_space import randint
        from syne_tune.optimizer.legacy_baselines import ASHA

        options = {"metric": "y", "mode": "min", "resource_attr": "point", "max_t": points, "grace_period": 1}
        more = {"reduction_factor": 3, "random_seed": repetition, "search_options": {"debug_log": False}}
        self.scheduler = ASHA({"i": randint(0, 10**7)}, type="promotion", **options, **more)
        self.points, self.trial, self.began = points, Trial, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.trials: dict[int, Any] = {}
        self.runs: dict[str, int] = {}
        self.count, self.pending = 0, None

    def next(self, can_new: bool) -> tuple[Any, ...] | None:
        """What it suggests. An id that it drew when the pool was used up stays unused."""
        found = self.scheduler.suggest(trial_id=str(self.count))
        if found is None:
            return None
        if not found.spawn_new_trial_id:
            return ("resume", self.runs[str(found.checkpoint_trial_id)])
        self.count, self.pending = self.count + 1, found
        return ("new",) if can_new else None

    def start(self, run: int) -> None:
        """A trial."""
        name = str(self.count - 1)
        self.runs[name] = run
        self.trials[run] = self.trial(trial_id=name, config=self.pending.config, creation_time=self.began)
        self.scheduler.on_trial_add(self.trials[run])

    def report(self, run: int, point: int, value: float) -> str:
        """Its judgement."""
        answer = self.scheduler.on_trial_result(self.trials[run], {"y": value, "point": point})
        return {"PAUSE": "pause", "STOP": "stop"}.get(answer, "go")

    def complete(self, run: int, value: float) -> None:
        """The last value."""
        result = {"y": value, "point": self.points}
        self.scheduler.on_trial_result(self.trials[run], result)
        self.scheduler.on_trial_complete(self.trials[run], result)


def optuna(make: Any) -> Any:
    """A policy of Optuna."""
    return lambda points, race, repetition: OptunaPolicy(points, race, repetition, make)


def ray(make: Any) -> Any:
    """A policy of Ray Tune."""
    return lambda points, race, repetition: RayPolicy(points, make)


def peers() -> Mapping[str, Any]:
    """The pruners of others that are installed here, by name."""
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore")
    asha = {"time_attr": "point", "metric": "y", "mode": "min", "grace_period": 1}
    found: dict[str, tuple[str, Any]] = {  # with the modules that each cannot do without
        "optuna_halving": ("optuna", optuna(lambda p, n: p.SuccessiveHalvingPruner(1, 3))),
        "optuna_hyperband": ("optuna", optuna(lambda p, n: p.HyperbandPruner(1, n, 3))),
        "optuna_median": ("optuna", optuna(lambda p, n: p.MedianPruner())),
        "optuna_wilcoxon": ("optuna scipy", optuna(lambda p, n: p.WilcoxonPruner(p_threshold=0.1))),
        "ray_asha": (
            "pyarrow",
            ray(lambda s, n: s.AsyncHyperBandScheduler(max_t=n, reduction_factor=3, **asha)),
        ),
        "ray_median": ("pyarrow", ray(lambda s, n: s.MedianStoppingRule(min_samples_required=3, **asha))),
        "syne_promotion": ("syne_tune", lambda points, race, repetition: SynePolicy(points, repetition)),
    }
    return {
        name: make
        for name, (modules, make) in found.items()
        if all(importlib.util.find_spec(module) is not None for module in modules.split())
    }
