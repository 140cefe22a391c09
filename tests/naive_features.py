"""Feature losses a second time: of one student and one source, with loops over samples and channels."""

import torch


def norm(values):
    """Of any tensor; where all is zero, a zero without a gradient."""
    square = (values * values).sum()
    return square * 0.0 if square == 0.0 else square.sqrt()


def unit(values, eps=1e-6):
    size = norm(values)
    return values if size == 0.0 else values / (size + eps)


def mean(values):
    return sum(values) / len(values)


def squared(students, sources):
    """Mean of (f - g)^2 over everything."""
    return ((students - sources) ** 2).sum() / students.numel()


def at(students, sources, p=2.0):
    """[B, C, H, W] both, channels may differ."""

    def attention(maps):
        return unit(sum(channel.abs() ** p for channel in maps))

    return mean([squared(attention(s), attention(t)) for s, t in zip(students, sources, strict=True)])


def nst(students, sources):
    """[B, C, H, W] both, channels may differ."""

    def kernel(a, b):
        rows = torch.stack([other.reshape(-1) for other in b])
        return sum(((rows @ one.reshape(-1)) ** 2).sum() for one in a) / (len(a) * len(b))

    values = []
    for s, t in zip(students, sources, strict=True):
        s, t = [unit(channel, 0.0) for channel in s], [unit(channel, 0.0) for channel in t]
        values.append(kernel(t, t) + kernel(s, s) - 2.0 * kernel(s, t))
    return mean(values)


def smooth_l1(a, b):
    gap = (a - b).abs()
    return torch.where(gap < 1.0, 0.5 * gap**2, gap - 0.5)


def rkd_distance(students, sources):
    """[B, ...] both, widths may differ."""

    def distances(values):
        pairs = [[norm(a - b) for b in values] for a in values]
        positive = [d for row in pairs for d in row if d > 0.0]
        size = mean(positive) if positive else 1.0
        return [[d / size for d in row] for row in pairs]

    rows = zip(distances(students), distances(sources), strict=True)
    return mean([smooth_l1(d, e) for mine, theirs in rows for d, e in zip(mine, theirs, strict=True)])


def rkd_angle(students, sources):
    """[B, ...] both, widths may differ."""

    def cosines(values, i):
        lines = [(other - values[i]).reshape(-1) for other in values]
        directions = torch.stack([line / norm(line) if norm(line) > 0.0 else line for line in lines])
        return directions @ directions.T

    count = len(students)
    return sum(smooth_l1(cosines(students, i), cosines(sources, i)).sum() for i in range(count)) / count**3


def ofd(students, sources):
    """[B, C, H, W] both, before their ReLU; the student's through its connector."""
    total = 0.0
    for c in range(students.shape[1]):
        s, t = students[:, c].reshape(-1), sources[:, c].reshape(-1)
        negative = [v for v in t if v < 0.0]
        margin = sum(negative) / len(negative) if negative else torch.zeros_like(t[0])
        t = torch.where(t > margin, t, margin)
        gap = (s - t) ** 2
        total = total + sum(gap[n] for n in range(len(s)) if not (s[n] <= t[n] <= 0.0))
    return total / students.numel()


def channel_weights(sources, squeeze, squeeze_bias, excite, excite_bias):
    """rho of [B, C, H, W], [B, C]."""
    rows = []
    for maps in sources:
        pooled = torch.stack([channel.mean() for channel in maps])
        hidden = torch.clamp(squeeze @ pooled + squeeze_bias, min=0.0)
        gate = 1.0 / (1.0 + torch.exp(-(excite @ hidden + excite_bias)))
        rows.append(gate / gate.sum())
    return torch.stack(rows)


def afd(students, sources, weights):
    """[B, C, H, W] both, weights [B, C]."""
    values = []
    for s, t, rho in zip(students, sources, weights, strict=True):
        values.append(sum(rho[c] * squared(unit(s[c]), unit(t[c])) for c in range(len(s))))
    return mean(values)


def conv(maps, weight, bias=None):
    """A 1x1 convolution of [B, C, ...], one output channel at a time."""
    outputs = []
    for o, row in enumerate(weight):
        channel = sum(w * maps[:, c] for c, w in enumerate(row))
        outputs.append(channel if bias is None else channel + bias[o])
    return torch.stack(outputs, 1)


def batch_norm(maps, weight, bias):
    """Of [B, C, ...], with the batch's statistics."""
    outputs = []
    for c in range(maps.shape[1]):
        one = maps[:, c]
        centred = one - one.mean()
        outputs.append(centred / torch.sqrt((centred**2).mean() + 1e-5) * weight[c] + bias[c])
    return torch.stack(outputs, 1)


def walk(net, x):
    """Logits of one of our `cnn`, and by name: stages, what goes into their ReLU, and the pooled feature."""
    found = {}
    for name, child in net.named_children():
        if name.startswith("stage"):
            x = child[:-1](x)
            found[f"{name} before ReLU"] = x
            x = torch.where(x > 0, x, torch.zeros_like(x))
            found[name] = x
            continue
        if name == "fc":
            found["fc:input"] = x
        x = child(x)
    return x, found
