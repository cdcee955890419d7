"""The training loop: labels and audio in, a run directory with the best model out."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_ser.emotion.scale import scores_from_unit
from edge_ser.emotion.sphere import to_cartesian
from edge_ser.errors import DataError, UsageError
from edge_ser.progress import watched
from edge_ser.replacement import replacement
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.models.deployed import DeploymentEncoder
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.joint import JointModel
from edge_ser_export.models.presets import PRESETS
from edge_ser_export.training.build import build_model
from edge_ser_export.training.config import TrainConfig
from edge_ser_export.training.curves import plot_history
from edge_ser_export.training.data import Corpus, batch_count
from edge_ser_export.training.distill import (
    STEM_RATE,
    STEM_ROWS,
    FrameDistillation,
    check_teacher,
    pretrain_stem,
    start_from_teacher,
)
from edge_ser_export.training.evaluate import SplitScores, score_split
from edge_ser_export.training.losses import auxiliary_weight, ccc_loss, class_weights
from edge_ser_export.training.state import applying, check_alike, load_optimizer, read_state

Say = Callable[[str], None]


class Trainer:
    """One run: `Trainer(...).run()`; every epoch leaves a state that `resume` continues from.

    Args:
        config: how to train.
        corpus: decoded audio and labels.
        out: run directory.
        teacher: a trained model whose frames a small encoder learns from.
        resume: continue the run in `out`.
        say: prints a line.

    Raises:
        DataError: a split is missing, or has one row.
        UsageError: `resume` with another configuration or corpus, or a run that is there already.
    """

    def __init__(
        self,
        config: TrainConfig,
        corpus: Corpus,
        out: Path,
        teacher: JointModel | None = None,
        resume: bool = False,
        say: Say = print,
    ) -> None:
        torch.manual_seed(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.config, self.corpus, self.out, self.say = config, corpus, out, say
        self.teacher_hash = None if teacher is None else _hash(teacher)
        self.corpus_hash = corpus.fingerprint()
        self.state_path = out / "last.pt"
        self.train_rows = corpus.table.rows("Train", 2)
        self.dev_rows = corpus.table.rows("Development", 2)
        mean, std = corpus.statistics(self.train_rows)
        if not std > 0:
            raise DataError(corpus.table.path, expected="audio with a signal", found="silence")
        self.device = _device(config.device)
        model = build_model(config.encoder).to(self.device)
        model.config = replace(
            model.config, mean=mean, std=std, eps=1e-6, weights_licence=config.licence
        )
        self.model = model
        self.preprocessing = model.config.preprocessing()
        self.crop = int(config.crop_seconds * self.preprocessing.sample_rate)
        self.partition = model.config.partition
        # a preset trains through its deployment form, which is equal and twice as fast on a CPU;
        # a published encoder through Transformers' own module, with its dropout and SpecAugment
        preset = config.encoder in PRESETS
        if teacher is not None:
            check_teacher(teacher.config, mean, std)
            copied = start_from_teacher(model, teacher)
            say(f"{copied} tensors start from the teacher's")
        self.network: nn.Module = DeploymentModel(model, windows=True) if preset else model
        self.distill = None
        if teacher is not None:
            self.distill = FrameDistillation(teacher, model.config.encoder).to(self.device)
        parameters = [p for p in model.parameters() if p.requires_grad]
        if self.distill is not None:
            parameters += list(self.distill.projection.parameters())
        betas = (0.9, 0.98) if preset else (0.9, 0.999)
        self.optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, betas=betas)
        self.average = self._new_average()
        points = to_cartesian(scores_from_unit(corpus.unit))
        self.regions = torch.from_numpy(self.partition.index(points)).to(self.device)
        self.class_weights = class_weights(
            self.regions[torch.from_numpy(self.train_rows)], model.config.region_count
        )
        self.epoch, self.best = 0, -np.inf
        self.history: list[dict[str, Any]] = []
        if resume:
            self._resume()
        elif self.state_path.exists():
            raise UsageError(
                out, expected="a new run directory", found="a run", advice="add --resume"
            )

    def run(self) -> SplitScores:
        """Train to the last epoch; returns the best epoch's result on Development."""
        self.out.mkdir(parents=True, exist_ok=True)
        if self.epoch == 0 and self.config.stem_steps:
            self._pretrain()
        batches = batch_count(self.train_rows.size, self.config.batch_size)
        for epoch in range(self.epoch, self.config.epochs):
            losses = self._train_epoch(epoch, batches)
            with self._averaged():
                result = score_split(
                    self.network, self.corpus, self.dev_rows, self.preprocessing, self.partition
                )
            self.history.append({"epoch": epoch, **losses, "development": result.to_dict()})
            self.say(f"epoch {epoch + 1}/{self.config.epochs}: development {result}")
            self.epoch = epoch + 1
            if result.total > self.best:
                self.best = result.total
                with self._averaged():
                    save_checkpoint(self.model, self.out / "best.safetensors", self.config.half)
            self._save_state()
            (self.out / "history.json").write_text(json.dumps(self.history, indent=1))
            plot_history(self.history, self.out / "learning-curve.png")
        records = [SplitScores.from_dict(h["development"]) for h in self.history]
        return max(records, key=lambda e: e.total)

    def _train_epoch(self, epoch: int, batches: int) -> dict[str, float]:
        self.network.train()
        # seeded by epoch, so that a resumed run draws what an uninterrupted one would
        torch.manual_seed(self.config.seed * 1000 + epoch)
        np.random.seed(self.config.seed * 1000 + epoch)  # Transformers draws SpecAugment from it
        rng = np.random.default_rng([self.config.seed, epoch])
        weight = auxiliary_weight(epoch, self.config.auxiliary_floor)
        sums: dict[str, float] = {"ccc_loss": 0.0, "region_loss": 0.0}
        source = self.corpus.batches(
            self.train_rows, self.config.batch_size, self.preprocessing, self.crop, rng
        )
        bar = watched(source, total=batches, name=f"epoch {epoch + 1}", unit="batch")
        self.optimizer.zero_grad()
        for step, (rows, samples, lengths) in enumerate(bar):
            loss, parts = self._loss(rows, samples, lengths, weight)
            (loss / self.config.accumulate).backward()  # type: ignore[no-untyped-call]
            last = step + 1 == batches
            if (step + 1) % self.config.accumulate == 0 or last:
                progress = (epoch + (step + 1) / batches) / self.config.epochs
                self._update(self._rate(progress))
            for key, value in parts.items():
                sums[key] += value
            bar.set_postfix({k: f"{v / (step + 1):.3f}" for k, v in sums.items()}, refresh=False)
        return {k: v / batches for k, v in sums.items()} | {"region_weight": weight}

    def _loss(
        self, rows: np.ndarray[Any, Any], samples: Tensor, lengths: Tensor, weight: float
    ) -> tuple[Tensor, dict[str, float]]:
        samples, lengths = samples.to(self.device), lengths.to(self.device)
        target = torch.from_numpy(self.corpus.unit[rows]).float().to(self.device)
        regions = self.regions[torch.from_numpy(rows)]
        network = self.network
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            hidden, mask = network.encoder(samples, lengths)  # type: ignore[operator]
            pooled = network.pooling(hidden, mask)  # type: ignore[operator]
            vad = network.vad_head(pooled)  # type: ignore[operator]
            logits = network.region_head(pooled)  # type: ignore[operator]
            frames = None
            if self.distill is not None:
                frames = self.distill(samples, lengths, hidden)
        ccc = ccc_loss(vad.float(), target)
        region = F.cross_entropy(logits.float(), regions, weight=self.class_weights)
        loss = ccc + weight * region
        if frames is not None:
            loss = loss + self.config.distillation * frames.float()
        return loss, {"ccc_loss": float(ccc.detach()), "region_loss": float(region.detach())}

    def _rate(self, progress: float) -> float:
        if self.config.schedule == "constant":
            return self.config.learning_rate
        warm = min(1.0, progress * self.config.epochs / 0.4)  # 0.4 epochs of warm-up
        fall = 0.5 + 0.5 * np.cos(np.pi * max(0.0, progress - 0.1) / 0.9)
        return float(self.config.learning_rate * warm * fall)

    def _update(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is None:
            return
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - self.config.ema)
                else:
                    self.average[key].copy_(value)

    def _new_average(self) -> dict[str, Tensor] | None:
        """A copy of the weights to average from; None without: it is gigabytes for large models."""
        if not self.config.ema:
            return None
        return {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights in the model for a while, where they are kept."""
        if self.average is None:
            yield
            return
        current = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        try:
            yield
        finally:
            self.model.load_state_dict(current)

    def _pretrain(self) -> None:
        encoder = self.network.encoder
        if not isinstance(encoder, DeploymentEncoder):
            raise UsageError(
                "--stem-steps", expected="a raw-waveform preset", found=self.config.encoder
            )
        total = self.config.stem_steps
        teacher = self.distill.teacher if self.distill else None
        errors = pretrain_stem(encoder, teacher, self._endless(), total, STEM_RATE)
        bar = watched(errors, total=total, name="stem", leave=True)
        last: list[float] = []
        for error in bar:
            last = [*last[-49:], error]
            bar.set_postfix(error=f"{np.mean(last):.4f}", refresh=False)
        self.say(f"stem: relative squared error {np.mean(last):.4f} after {total} steps")
        # the average starts from here, not from the random stem
        self.average = self._new_average()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng([self.config.seed, 10**6])
        size = min(self.config.batch_size, STEM_ROWS)
        while True:
            for _, samples, lengths in self.corpus.batches(
                self.train_rows, size, self.preprocessing, self.crop, rng
            ):
                yield samples.to(self.device), lengths.to(self.device)

    def _save_state(self) -> None:
        state = {
            "config": asdict(self.config),
            "epoch": self.epoch,
            "best": float(self.best),
            "history": self.history,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "projection": self.distill.projection.state_dict() if self.distill else None,
            "teacher": self.teacher_hash,
            "corpus": self.corpus_hash,
        }
        with replacement(self.state_path) as partial:
            torch.save(state, partial)

    def _resume(self) -> None:
        if not self.state_path.is_file():
            raise UsageError(self.out, expected="a run to resume", found="no last.pt")
        state = read_state(self.state_path)
        now_set = {**asdict(self.config), "teacher": self.teacher_hash, "corpus": self.corpus_hash}
        was_set = {**state["config"], "teacher": state.get("teacher")}
        # runs of earlier versions do not say
        was_set["corpus"] = state.get("corpus", self.corpus_hash)
        changed = {
            k: (v, now_set.get(k))
            for k, v in was_set.items()
            if now_set.get(k) != v and k not in ("epochs", "threads", "device")
        }
        if changed:
            expected, found = zip(
                *(_setting(k, *values) for k, values in changed.items()), strict=True
            )
            raise UsageError(
                f"--resume of {self.out}",
                expected=", ".join(expected),
                found=", ".join(found),
                advice="resume with the settings, labels and audio of the run",
            )
        self.epoch, self.best, self.history = state["epoch"], state["best"], state["history"]
        with applying(self.state_path):
            self.model.load_state_dict(state["model"])
            if self.average is not None:
                average = {k: v.to(self.device) for k, v in state["average"].items()}
                check_alike(average, self.average)
                self.average = average
            load_optimizer(self.optimizer, state["optimizer"])
            if self.distill is not None:
                self.distill.projection.load_state_dict(state["projection"])


def _setting(name: str, was: Any, now: Any) -> tuple[str, str]:
    """A setting of a run and what was asked for, in words."""
    if name in ("teacher", "corpus"):  # hashes
        return f"the run's {name}" if was else f"no {name}", f"another {name}" if now else "none"
    if isinstance(was, bool):
        words = {True: f"{name} on", False: f"{name} off"}
        return words[was], words[bool(now)]
    option = f"--{name.replace('_', '-')}"
    return f"{option} {was}", f"{option} {now}"


def _hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch asserts where CUDA is not compiled in
        raise UsageError(
            "--device",
            expected="a device that torch can use here",
            found=f"{name} ({str(error).splitlines()[0]})",
            advice="use --device auto",
        ) from error
