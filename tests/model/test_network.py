"""AudioCNN is the published network: what makes it fast does not change what it computes or learns."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from audiocnn.model.network import AudioCNN
from tests.support.plain_network import PlainAudioCNN

MELS, FRAMES, CLASSES, BATCH = 40, 50, 6, 12


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def spectrograms(seed: int) -> Tensor:
    """(12, 40, 50) float32 dB values from -80 to 0 that vary smoothly, as real ones do."""
    noise = torch.randn(BATCH, 1, MELS, FRAMES, generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.avg_pool2d(noise, 5, stride=1, padding=2).squeeze(1)
    return (smooth * 40 - 40).clamp(-80, 0)


def fast_and_plain(dtype: torch.dtype = torch.float32) -> tuple[AudioCNN, PlainAudioCNN]:
    torch.manual_seed(7)
    fast = AudioCNN(MELS, CLASSES, FRAMES, encoder_dropout=0.0, head_dropout=0.0)
    fast = fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain = PlainAudioCNN(MELS, CLASSES, dropout=0.0, head_dropout=0.0)
    plain.load_state_dict(fast.state_dict())
    return fast, plain.to(dtype)


def gradients(model: nn.Module, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    cross_entropy(model(x), labels).backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.double() for name, p in model.named_parameters() if p.grad is not None}


def half_silent(seed: int) -> Tensor:
    """The same, but nothing is heard in the second half: every pool there chooses between equal values."""
    x = spectrograms(seed)
    x[:, :, FRAMES // 2 :] = -80
    return x


@pytest.mark.parametrize("clips", [spectrograms, half_silent])
def test_gradients_are_the_plain_networks_to_float32_rounding(clips: Callable[[int], Tensor]) -> None:
    fast, exact = fast_and_plain(torch.float64)
    _, rounded = fast_and_plain(torch.float32)
    labels = torch.arange(BATCH) % CLASSES
    x = clips(0)
    truth = gradients(exact, x.double(), labels)
    ours, plain = gradients(fast, x, labels), gradients(rounded, x, labels)
    for name in truth:
        if name.endswith("conv.bias"):  # normalisation cancels it: its gradient is rounding and nothing else
            continue
        scale = truth[name].norm()
        error, plain_error = (ours[name] - truth[name]).norm() / scale, (plain[name] - truth[name]).norm() / scale
        assert error < max(2e-5, 3 * plain_error), name


def test_the_loss_curve_is_the_plain_networks() -> None:
    fast, plain = fast_and_plain()
    curves = []
    for model in (fast, plain):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        curve = []
        for _ in range(12):
            loss = cross_entropy(model(spectrograms(0)), torch.arange(BATCH) % CLASSES)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            curve.append(loss.item())
        curves.append(torch.tensor(curve))
    assert curves[1][0] - curves[1][-1] > 0.01  # the curve moves
    torch.testing.assert_close(curves[0], curves[1], rtol=1e-4, atol=1e-4)
    for name, buffer in plain.named_buffers():
        if "running" in name:
            torch.testing.assert_close(dict(fast.named_buffers())[name], buffer, rtol=1e-3, atol=1e-3)


def test_evaluation_gives_the_plain_networks_logits() -> None:
    fast, plain = fast_and_plain()
    for model in (fast, plain):
        for step in range(3):
            model(spectrograms(step))
        model.eval()
    plain.load_state_dict(fast.state_dict())
    torch.testing.assert_close(fast(spectrograms(9)), plain(spectrograms(9)), rtol=1e-4, atol=1e-4)


def test_a_trained_network_can_be_exported() -> None:
    fast, _ = fast_and_plain()
    fast(spectrograms(0))
    exported = torch.export.export(fast.eval(), (spectrograms(1),))
    torch.testing.assert_close(exported.module()(spectrograms(2)), fast(spectrograms(2)))


def test_parameter_names_are_those_of_the_published_weights() -> None:
    fast, plain = fast_and_plain()
    assert set(fast.state_dict()) == set(plain.state_dict())
    assert sum(p.numel() for p in AudioCNN(128, 10, 173).parameters()) == 250_250


def test_the_smallest_spectrogram_that_the_pools_allow_works() -> None:
    assert AudioCNN(8, 3, 16)(torch.zeros(2, 8, 16)).shape == (2, 3)
