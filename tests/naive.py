"""Naive references: every formula a second time, with plain modules and loops and nothing of ours."""

import copy

import torch
from torch import nn


def softmax_kl(q_logits, p_logits, temperature=1.0):
    """KL(softmax(q/T) || softmax(p/T)) of two [B, C], mean over samples, one sample at a time."""
    total = 0.0
    for q_row, p_row in zip(q_logits, p_logits, strict=True):
        q = torch.exp(q_row / temperature) / torch.exp(q_row / temperature).sum()
        p = torch.exp(p_row / temperature) / torch.exp(p_row / temperature).sum()
        total = total + (q * (torch.log(q) - torch.log(p))).sum()
    return total / len(q_logits)


def label_loss(logits, labels):
    """-(1/B) sum log p_y."""
    total = 0.0
    for row, y in zip(logits, labels, strict=True):
        total = total - torch.log(torch.exp(row[y]) / torch.exp(row).sum())
    return total / len(logits)


def dml_loss(k, logits):
    """1/(K-1) sum over the others of KL(p_l || p_k), the others detached."""
    others = [z.detach() for i, z in enumerate(logits) if i != k]
    return sum(softmax_kl(z, logits[k]) for z in others) / len(others)


def without_statistics(net, x):
    """A train-mode pass that leaves the batch norm statistics where they were."""
    saved = copy.deepcopy(dict(net.named_buffers()))
    with torch.no_grad():
        z = net(x)
        for name, buffer in net.named_buffers():
            buffer.copy_(saved[name])
    return z


def sgd(nets, rate, momentum=0.9, decay=5e-4):
    return [
        torch.optim.SGD(n.parameters(), lr=rate, momentum=momentum, nesterov=True, weight_decay=decay) for n in nets
    ]


def set_rate(optimizer, rate):
    for group in optimizer.param_groups:
        group["lr"] = rate


def together(nets, optimizers, x, y):
    logits = [net(x) for net in nets]
    losses = [label_loss(z, y) + dml_loss(k, logits) for k, z in enumerate(logits)]
    for loss, optimizer in zip(losses, optimizers, strict=True):
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
    for optimizer in optimizers:
        optimizer.step()


def in_turn(nets, optimizers, x, y):
    """Algorithm 1: predictions of all; update 1; recompute p_1; update 2; ..."""
    latest = [without_statistics(net, x) for net in nets]
    for k, (net, optimizer) in enumerate(zip(nets, optimizers, strict=True)):
        z = net(x)
        loss = label_loss(z, y) + dml_loss(k, [*latest[:k], z, *latest[k + 1 :]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        latest[k] = without_statistics(net, x)


def fresh_batch(nets, optimizers, batches):
    """The released code: for every net a batch of its own, on which all predict and only it learns."""
    for k, (net, optimizer, (x, y)) in enumerate(zip(nets, optimizers, batches, strict=True)):
        logits = [net(x) if i == k else without_statistics(other, x) for i, other in enumerate(nets)]
        loss = label_loss(logits[k], y) + dml_loss(k, logits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def small_net(classes=10):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, classes),
    )
