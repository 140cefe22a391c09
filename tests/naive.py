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


# Losses -------------------------------------------------------------------------------------------------------------


def softmax(row, temperature=1.0):
    """One row of logits -> probabilities."""
    e = torch.exp(row / temperature)
    return e / e.sum()


def bernoulli(logit, temperature=1.0):
    """One logit -> (1 - p, p)."""
    p = 1.0 / (1.0 + torch.exp(-logit / temperature))
    return torch.stack([1.0 - p, p])


def _kl(q, p):
    return sum(q[m] * (torch.log(q[m]) - torch.log(p[m])) for m in range(len(q)))


def divergence(name, q, p):
    """Of two distributions [C]: q is the source's, p the student's."""
    if name == "kl":
        return _kl(q, p)
    if name == "reverse_kl":
        return _kl(p, q)
    if name == "symmetric_kl":
        return (_kl(q, p) + _kl(p, q)) / 2
    assert name == "js"
    middle = (q + p) / 2
    return (_kl(q, middle) + _kl(p, middle)) / 2


def sample_divergence(name, source, student, task="classes", temperature=1.0):
    """T^2 D of one sample's logits [C] (one token's, for tokens)."""
    if task in ("classes", "tokens"):
        value = divergence(name, softmax(source, temperature), softmax(student, temperature))
    else:
        value = sum(
            divergence(name, bernoulli(s, temperature), bernoulli(t, temperature))
            for s, t in zip(source, student, strict=True)
        )
    return value * temperature**2


def along(w, name, students, sources, task="classes", temperature=1.0, mask=None):
    """sum_j W_ij mean_b T^2 D(source_j, student_i): one edge and one sample at a time.

    Sources [Q, B, C] or [P, Q, B, C]; mask [P, B] of 0 and 1.
    """
    totals = []
    for i, student in enumerate(students):
        total = student.sum() * 0.0
        for j in range(len(w[i])):
            if float(w[i][j]) == 0.0:
                continue
            source = sources[i][j] if sources.dim() > students.dim() else sources[j]
            values = [
                sample_divergence(name, source[b], student[b], task, temperature)
                for b in range(len(student))
                if mask is None or mask[i][b]
            ]
            total = total + float(w[i][j]) * sum(values) / max(len(values), 1)
        totals.append(total)
    return torch.stack(totals)


def task_loss(z, y, task="classes", smoothing=0.0, mask=None):
    """Cross-entropy of one peer: z [B, C] ([B, L, C] for tokens), y and mask of that peer."""
    if task == "tokens":
        z, y = z.reshape(-1, z.shape[-1]), y.reshape(-1)
        mask = mask.reshape(-1) if mask is not None else None
    losses = []
    for b in range(len(z)):
        if bool((y[b] < 0).any()) or (mask is not None and not mask[b]):
            continue
        if task in ("classes", "tokens"):
            p = softmax(z[b])
            target = [(1.0 - smoothing) * (c == int(y[b])) + smoothing / len(p) for c in range(len(p))]
            losses.append(-sum(t * torch.log(q) for t, q in zip(target, p, strict=True)))
            continue
        labels = y[b].reshape(-1)
        loss = 0.0
        for c in range(len(labels)):
            p = bernoulli(z[b][c])
            target = [(1.0 - smoothing) * (k == int(labels[c])) + smoothing / 2 for k in (0, 1)]
            loss = loss - target[0] * torch.log(p[0]) - target[1] * torch.log(p[1])
        losses.append(loss)
    return sum(losses) / len(losses) if losses else z.sum() * 0.0


def entropy(p):
    """H(p) in nats of one distribution."""
    return -sum(q * torch.log(q) for q in p)


def gradients(value, inputs):
    """Of the sum of a value."""
    return torch.autograd.grad(value.sum(), inputs, retain_graph=True)
