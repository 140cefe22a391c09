"""The block that pre-activation residual networks share. He et al. 2016, arXiv:1603.05027."""

from torch import Tensor, nn

from codistill.models.parts.layers import conv3x3, drop


class Preactivation(nn.Module):
    """y = conv2(drop(relu2(bn2(conv1(a))))) + shortcut, a = relu1(bn1(x)).

    The shortcut is x; where the shape changes, a 1x1 convolution of a, without BN.

    Args:
        channels: of x.
        width: of y.
        stride: of conv1 and of the shortcut.
        dropout: between the convolutions.
        activated: the shortcut is a where the shape stays, too.
    """

    def __init__(self, channels: int, width: int, stride: int, dropout: float = 0.0, activated: bool = False) -> None:
        super().__init__()
        changes = stride != 1 or channels != width
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = conv3x3(channels, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.drop = drop(dropout)
        self.conv2 = conv3x3(width, width)
        self.shortcut = nn.Conv2d(channels, width, 1, stride, bias=False) if changes else nn.Identity()
        self.activated = activated or changes

    def forward(self, x: Tensor) -> Tensor:
        a = self.relu1(self.bn1(x))
        y = self.conv2(self.drop(self.relu2(self.bn2(self.conv1(a)))))
        out: Tensor = y + self.shortcut(a if self.activated else x)
        return out
