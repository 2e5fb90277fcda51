"""Fitting: a linear head on frozen features, or the whole network; then calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from bamkit.common.statistics import average_precision
from bamkit.common.terminal.progress import Progress
from bamkit.gan.judge.model import Network
from bamkit.gan.judge.settings import JudgeConfig

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""L2 penalties tried for a linear head; the calibration part chooses, for each attribute on its own."""


def masked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels that are known. labels: (n, k) of 0, 1 and nan for unsure or none."""
    known = ~torch.isnan(labels)
    each = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(labels), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def fit_head(network: Network, features: Tensor, labels: Tensor, part: np.ndarray) -> None:
    """Logistic regression for each attribute on (n, d) frozen features, by L-BFGS; sets `network.head`.

    `part` (n,) is 0 for fitting and 1 for choosing the penalty (by cross-entropy). Features are standardised for the
    fit; the scale is folded into the head afterwards.
    """
    fit, choose = torch.from_numpy(part == 0), torch.from_numpy(part == 1)
    mean, deviation = features[fit].mean(0), features[fit].std(0).clamp(min=1e-6)
    x = ((features - mean) / deviation).double()
    y = labels.double()
    heads, losses = [], []
    for penalty in PENALTIES:
        weight, bias = _logistic(x[fit], y[fit], penalty)
        heads.append((weight, bias))
        logits = x[choose] @ weight.T + bias
        losses.append(torch.stack([masked_loss(logits[:, [i]], y[choose][:, [i]]) for i in range(y.shape[1])]))
    best = torch.stack(losses).argmin(dim=0)
    weight = torch.stack([heads[int(b)][0][i] for i, b in enumerate(best)])
    bias = torch.stack([heads[int(b)][1][i] for i, b in enumerate(best)])
    with torch.no_grad():
        folded = weight / deviation.double()
        network.head.weight.copy_(folded)
        network.head.bias.copy_(bias - folded @ mean.double())


def _logistic(x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights (k, d) and biases (k,) of k logistic regressions with an L2 penalty on the weights."""
    weight = torch.zeros(y.shape[1], x.shape[1], dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(y.shape[1], dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = masked_loss(x @ weight.T + bias, y) + penalty * weight.square().sum() / y.shape[1]
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach(), bias.detach()


def fit_network(
    network: Network, pictures: Tensor, labels: Tensor, part: np.ndarray, config: JudgeConfig, device: torch.device
) -> int:
    """Train backbone and head with AdamW on a one-cycle schedule; the epoch with the best mean average precision on
    the calibration part is kept. Returns that epoch (from 1).

    Fine-tuning begins with the linear head, not with a random one, whose first gradients would spoil the features
    (Kumar et al. 2022); it is epoch 0, kept where no later one is as good.
    pictures: (n, 3, s, s) uint8 in memory or on disk. Augmentation: mirror, and a shift of up to 1/8 of the side.
    Colours are left alone, since the mood is largely in them.
    """
    rng = np.random.default_rng(config.seed)
    fit, choose = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    steps = max(1, math.ceil(len(fit) / config.batch)) * config.epochs
    rate = config.learning_rate * (0.1 if config.finetune else 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    best, kept, chosen = -1.0, {}, 0
    if config.finetune:
        best, kept = (
            mean_precision(logits_of(network, pictures, choose, device), labels[choose].numpy()),
            _state(network),
        )
    with Progress("judge", steps * config.batch, "pictures") as progress:
        for epoch in range(1, config.epochs + 1):
            network.train()
            for rows in _batches(rng.permutation(fit), config.batch):
                batch = augmented(pictures[torch.from_numpy(rows)], rng).to(device)
                loss = masked_loss(network(batch)[1], labels[rows].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                progress.update(progress.done + len(rows), f"epoch {epoch}/{config.epochs}, loss {loss.item():.3f}")
            score = mean_precision(logits_of(network, pictures, choose, device), labels[choose].numpy())
            if score >= best:
                best, chosen = score, epoch
                kept = _state(network)
    network.load_state_dict(kept)
    return chosen


def _state(network: Network) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Rows `size` at a time; a last batch of one is left out, since batch norm cannot learn from it."""
    for start in range(0, len(rows), size):
        if len(rows[start : start + size]) > 1:
            yield rows[start : start + size]


def augmented(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """(n, 3, s, s) uint8: each picture mirrored with probability 1/2 and shifted by up to s/8, edges repeated."""
    side = batch.shape[-1]
    reach = side // 8
    padded = F.pad(batch.float(), (reach,) * 4, mode="replicate").to(torch.uint8)
    shown = []
    for picture in padded:
        top, left = (int(v) for v in rng.integers(0, 2 * reach + 1, 2))
        crop = picture[:, top : top + side, left : left + side]
        shown.append(crop.flip(-1) if rng.random() < 0.5 else crop)
    return torch.stack(shown)


def logits_of(
    network: Network, pictures: Tensor, rows: np.ndarray, device: torch.device, batch: int = 64
) -> np.ndarray:
    """Uncalibrated logits (m, k) of the rows, in evaluation mode."""
    network.eval()
    batches = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            part = pictures[torch.from_numpy(rows[start : start + batch])].to(device)
            batches.append(network(part)[1].cpu().numpy())
    return np.concatenate(batches) if batches else np.zeros((0, network.head.out_features), np.float32)


def mean_precision(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean average precision over the attributes that have a positive; 0 if none has."""
    precisions = []
    for column, truth in zip(logits.T, labels.T, strict=True):
        known = ~np.isnan(truth)
        if truth[known].any():
            precisions.append(average_precision(truth[known] > 0.5, column[known]).value)
    return float(np.mean(precisions)) if precisions else 0.0


def platt(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """Slope and offset (a, b) such that sigmoid(a * logit + b) is calibrated on these cases.

    labels: (n,) bool; logits: (n,). Targets are Platt's (n+ + 1)/(n+ + 2) and 1/(n- + 2), which keep the fit finite on
    separable data. The slope is kept at or above 0.05: calibration must not reverse the order. (1, 0) where a class is
    absent. Source: Platt 1999, Advances in Large Margin Classifiers, section 2.2.
    """
    labels, logits = np.asarray(labels, dtype=bool), np.asarray(logits, dtype=np.float64)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return 1.0, 0.0
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    prior = math.log((positives + 1) / (negatives + 1))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean cross-entropy and its gradient."""
        z = parameters[0] * logits + parameters[1]
        residual = expit(z) - target
        return float(np.mean(np.logaddexp(0, z) - target * z)), np.array([np.mean(residual * logits), residual.mean()])

    slope, offset = minimize(loss, [0.0, prior], jac=True, method="BFGS", options={"gtol": 1e-10}).x
    return (float(slope), float(offset)) if slope >= 0.05 else (0.05, float(prior - 0.05 * logits.mean()))


def calibrate(network: Network, logits: np.ndarray, labels: np.ndarray) -> None:
    """Set each attribute's slope, offset and prior from the calibration part's (m, k) logits and labels.

    Platt scaling; the prior is the log odds of its positives, (n+ + 1) / (n- + 1), to which that scaling is relative.
    """
    for index, (column, truth) in enumerate(zip(logits.T, labels.T, strict=True)):
        known = ~np.isnan(truth)
        a, b = platt(truth[known] > 0.5, column[known])
        network.slope[index], network.offset[index] = a, b
        positives, negatives = int((truth[known] > 0.5).sum()), int((truth[known] < 0.5).sum())
        network.prior[index] = math.log((positives + 1) / (negatives + 1))
