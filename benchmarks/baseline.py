"""CycleGAN as the public PyTorch implementation structures it, in plain eager PyTorch: what bamkit is measured against.

Written anew from the published description: `nn.Sequential` networks with biases everywhere, modules for padding, norm
and in-place activations, one pass of a network for each picture, Python's `random` for the image pool, losses read
after every step. It shares no code with bamkit.gan, so that agreement between the two means something.
"""

from __future__ import annotations

import itertools
import random

import torch
from torch import nn


def norm(channels):
    return nn.InstanceNorm2d(channels, affine=False, track_running_stats=False)


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels), nn.ReLU(True),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv_block(x)


def generator(width=64, blocks=9):
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), norm(width), nn.ReLU(True)]
    for k in (1, 2):
        layers += [nn.Conv2d(width * k, width * k * 2, 3, 2, 1), norm(width * k * 2), nn.ReLU(True)]
    layers += [Block(width * 4) for _ in range(blocks)]
    for k in (4, 2):
        layers += [nn.ConvTranspose2d(width * k, width * k // 2, 3, 2, 1, 1), norm(width * k // 2), nn.ReLU(True)]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
    return nn.Sequential(*layers)


def discriminator(width=64):
    layers = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for k, stride in ((1, 2), (2, 2), (4, 1)):
        layers += [nn.Conv2d(width * k, width * k * 2, 4, stride, 1), norm(width * k * 2), nn.LeakyReLU(0.2, True)]
    layers += [nn.Conv2d(width * 8, 1, 4, 1, 1)]
    return nn.Sequential(*layers)


class Pool:
    def __init__(self, size=50):
        self.size, self.pictures = size, []

    def query(self, batch):
        if not self.size:
            return batch
        shown = []
        for picture in batch.split(1):
            if len(self.pictures) < self.size:
                self.pictures.append(picture)
                shown.append(picture)
            elif random.random() > 0.5:
                i = random.randrange(self.size)
                shown.append(self.pictures[i].clone())
                self.pictures[i] = picture
            else:
                shown.append(picture)
        return torch.cat(shown)


class Baseline:
    """The four networks, two Adam optimizers, two pools, and a step."""

    names = ("G_A", "cycle_A", "idt_A", "D_A", "G_B", "cycle_B", "idt_B", "D_B")

    def __init__(self, width=64, blocks=9, discriminator_channels=64, device="cpu", dtype=torch.float32, pool=50):
        self.G_A, self.G_B = generator(width, blocks), generator(width, blocks)
        self.D_A, self.D_B = discriminator(discriminator_channels), discriminator(discriminator_channels)
        for network in self.networks():
            network.to(device, dtype)
            for module in network.modules():
                if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                    nn.init.normal_(module.weight, 0.0, 0.02)
                    nn.init.zeros_(module.bias)
        pairs = ((self.G_A, self.G_B), (self.D_A, self.D_B))
        self.optimizer_G, self.optimizer_D = (
            torch.optim.Adam(itertools.chain(*(n.parameters() for n in pair)), lr=2e-4, betas=(0.5, 0.999))
            for pair in pairs
        )
        self.pool_A, self.pool_B = Pool(pool), Pool(pool)
        self.gan, self.l1 = nn.MSELoss(), nn.L1Loss()

    def networks(self):
        return self.G_A, self.G_B, self.D_A, self.D_B

    def judge(self, scores, real):
        return self.gan(scores, torch.full_like(scores, float(real)))

    def step(self, real_A, real_B, read=True):
        """One step; returns the losses as floats (a synchronisation on a GPU), as the public code prints them."""
        fake_B = self.G_A(real_A)
        rec_A = self.G_B(fake_B)
        fake_A = self.G_B(real_B)
        rec_B = self.G_A(fake_A)
        for network in (self.D_A, self.D_B):
            network.requires_grad_(False)
        self.optimizer_G.zero_grad()
        idt_A = self.l1(self.G_A(real_B), real_B) * 10 * 0.5
        idt_B = self.l1(self.G_B(real_A), real_A) * 10 * 0.5
        G_A = self.judge(self.D_A(fake_B), True)
        G_B = self.judge(self.D_B(fake_A), True)
        cycle_A, cycle_B = self.l1(rec_A, real_A) * 10, self.l1(rec_B, real_B) * 10
        (G_A + G_B + cycle_A + cycle_B + idt_A + idt_B).backward()
        self.optimizer_G.step()
        for network in (self.D_A, self.D_B):
            network.requires_grad_(True)
        self.optimizer_D.zero_grad()
        D_A = self.judge_step(self.D_A, real_B, self.pool_A.query(fake_B.detach()))
        D_B = self.judge_step(self.D_B, real_A, self.pool_B.query(fake_A.detach()))
        self.optimizer_D.step()
        found = (G_A, cycle_A, idt_A, D_A, G_B, cycle_B, idt_B, D_B)
        return {name: loss.item() for name, loss in zip(self.names, found, strict=True)} if read else None

    def judge_step(self, network, real, fake):
        loss = (self.judge(network(real), True) + self.judge(network(fake), False)) * 0.5
        loss.backward()
        return loss
