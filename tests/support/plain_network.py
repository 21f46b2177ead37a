"""AudioCNN written plainly, without audiocnn: the reference for gradients, logits and speed."""

from torch import Tensor, nn
from torch.nn import functional


class PlainBlock(nn.Module):
    """Conv2d, BatchNorm2d, ReLU, MaxPool2d, Dropout."""

    def __init__(self, in_channels: int, out_channels: int, pool: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding="same")
        self.bn = nn.BatchNorm2d(out_channels)
        self.pool = nn.MaxPool2d(pool)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.dropout(self.pool(functional.relu(self.bn(self.conv(x)))))
        return output


class PlainAudioCNN(nn.Module):
    """The published network, with the published parameter names."""

    def __init__(self, n_mels: int, num_classes: int, dropout: float = 0.2, head_dropout: float = 0.5) -> None:
        super().__init__()
        self.encoder1 = PlainBlock(1, 32, (2, 2), dropout)
        self.encoder2 = PlainBlock(32, 64, (2, 2), dropout)
        self.encoder3 = PlainBlock(64, 128, (2, 4), dropout)
        self.conv1d = nn.Conv1d(128, 64, 3, padding="same")
        self.fc1 = nn.Linear(64 * (n_mels // 8), 128)
        self.dropout = nn.Dropout(head_dropout)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, spectrograms: Tensor) -> Tensor:
        x = self.encoder3(self.encoder2(self.encoder1(spectrograms.unsqueeze(1))))
        x = functional.relu(self.conv1d(x.mean(dim=3)))
        logits: Tensor = self.fc2(self.dropout(functional.relu(self.fc1(x.flatten(1)))))
        return logits
